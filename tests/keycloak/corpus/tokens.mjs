// Tokens in an answer, wherever it has them.

const part = (token, index) => {
  try {
    return JSON.parse(Buffer.from(token.split('.')[index], 'base64url'));
  } catch {
    return {};
  }
};

const decoded = (text) => {
  try {
    return decodeURIComponent(text);
  } catch {
    return '';
  }
};

function jwts(text) {
  const found = `${text} ${decoded(text)}`.match(/eyJ[\w-]+\.eyJ[\w-]+\.[\w-]+/g) ?? [];
  return found.flatMap((token) => [token, ...jwts(JSON.stringify(part(token, 1)))]);
}

/** The tokens that are signed for clients: `{ kid, claims }`. What is signed with HS* only the upstream itself can verify; an error in a JWT is no token. */
export function tokensIn(answer) {
  const places = [answer.text, ...answer.headers.filter(([name]) => name.toLowerCase() !== 'set-cookie').map(([, value]) => value)];
  const all = [...new Set(places.flatMap(jwts))].map((token) => ({ ...part(token, 0), claims: part(token, 1) }));
  return all.filter(({ alg, claims }) => !alg?.startsWith('HS') && alg !== 'none' && !claims.error && (claims.sub || claims.typ || claims.access || claims.nonce));
}
