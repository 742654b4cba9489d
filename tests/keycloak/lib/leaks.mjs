// What must never leave: the tokens that the upstream signed for clients, and the keys that they verify with, however they are encoded.

import { createPublicKey, verify } from 'node:crypto';

import { unescapeHtml } from './visitor.mjs';
import { send } from './wire.mjs';

/** How often something may be encoded once more around a token. */
const deepest = 5;

const hashes = { 256: 'sha256', 384: 'sha384', 512: 'sha512' };

/** What a JOSE header says, or undefined where the text is none. */
function headerIn(text) {
  try {
    const header = JSON.parse(Buffer.from(text, 'base64url').toString('utf8'));
    return typeof header?.alg === 'string' ? header : undefined;
  } catch {
    return undefined;
  }
}

/** A text and everything that is written in it: percent-encoded, escaped for HTML, in strings of JSON, in base64 and base64url, one in the other. */
export function* readings(text, depth = 0) {
  yield text;
  if (depth === deepest) return;
  const decoded = new Set();
  if (/%[0-9a-f]{2}/i.test(text)) decoded.add(text.replace(/(?:%[0-9a-f]{2})+/gi, (run) => Buffer.from(run.replaceAll('%', ''), 'hex').toString('latin1')));
  if (/&(?:#|\w+;)/.test(text)) decoded.add(unescapeHtml(text));
  if (/\\[u/"nt\\]/.test(text)) decoded.add(text.replace(/\\u([0-9a-f]{4})/gi, (_, code) => String.fromCharCode(parseInt(code, 16))).replace(/\\([/"\\])/g, '$1'));
  for (const [run] of text.matchAll(/[A-Za-z0-9+/_-]{24,}/g)) {
    const inner = Buffer.from(run, 'base64').toString('latin1');
    // What is no text holds nothing that a client could read on.
    if (/^[\t\n\r\x20-\x7e]{12,}/.test(inner)) decoded.add(inner);
  }
  decoded.delete(text);
  for (const inner of decoded) yield* readings(inner, depth + 1);
}

/** The compact JWSs in a text, however deep: `{ token, header }`, each once. */
export function jwss(text) {
  const found = new Map();
  for (const reading of readings(text)) {
    for (const [token, header] of reading.matchAll(/([\w-]{8,})\.[\w-]+\.[\w-]{16,}/g)) {
      const read = found.has(token) ? undefined : headerIn(header);
      if (read) found.set(token, read);
    }
  }
  return [...found].map(([token, header]) => ({ token, header }));
}

/** The places of an answer that a client reads; cookies are the upstream's notes to itself. */
export const placesOf = (answer) => [answer.text, ...answer.headers.filter(([name]) => name.toLowerCase() !== 'set-cookie').map(([, value]) => value)];

/** The upstream's keys, and Tollgate's. */
export class Keys {
  #upstream = [];
  #ours = new Set();

  /** Reads the keys that every realm signs with: those that are published, and those that its administrators see. */
  static async of(world, realms = ['tg', 'partner', 'master']) {
    const keys = new Keys();
    for (const realm of realms) {
      const certs = `/realms/${realm}/protocol/openid-connect/certs`;
      for (const { kid } of (await send(world.origin, { target: certs })).json.keys) keys.#ours.add(kid);
      for (const jwk of (await send(world.keycloak.url, { target: certs })).json.keys) if (jwk.use === 'sig') keys.#upstream.push({ kid: jwk.kid, jwk, key: createPublicKey({ key: jwk, format: 'jwk' }) });
    }
    // The key for encryption is the upstream's own, and passes.
    for (const { kid } of keys.#upstream) if (keys.#ours.has(kid)) throw new Error(`Tollgate publishes the upstream's key ${kid}`);
    return keys;
  }

  /** Whether the upstream signed it: by the signature, or by the key that it names. */
  isNative({ token, header: { alg, kid } }) {
    if (this.#upstream.some((known) => known.kid === kid)) return true;
    const [input, signature] = [token.slice(0, token.lastIndexOf('.')), Buffer.from(token.slice(token.lastIndexOf('.') + 1), 'base64url')];
    return this.#upstream.some(({ key }) => {
      const fits = (alg.startsWith('RS') && key.asymmetricKeyType === 'rsa') || (alg.startsWith('ES') && key.asymmetricKeyType === 'ec');
      return fits && verify(hashes[alg.slice(2)] ?? null, Buffer.from(input), { key, dsaEncoding: 'ieee-p1363' }, signature);
    });
  }

  /** Whether it names a key of Tollgate's. */
  isOurs({ header: { kid } }) {
    return this.#ours.has(kid);
  }

  /** Whether others than the upstream can verify it, and Tollgate did not sign it. HS* tokens are the upstream's notes to itself. */
  isForeign({ header: { alg, kid } }) {
    return !alg.startsWith('HS') && !this.#ours.has(kid);
  }

  /** The tokens of an answer that are signed for clients but not by Tollgate. */
  foreignIn(answer) {
    return placesOf(answer).flatMap(jwss).filter((found) => this.isForeign(found));
  }

  /** The upstream's public keys that an answer has, as a JWK, as DER or in a certificate, by their `kid`. */
  publishedIn(answer) {
    const texts = placesOf(answer).flatMap((place) => [...readings(place)]).map((text) => text.replace(/\s|\\n/g, ''));
    return this.#upstream
      .filter(({ jwk, key }) => {
        const needles = [jwk.n ?? jwk.x, Buffer.from(jwk.n ?? jwk.x, 'base64url').toString('base64'), key.export({ type: 'spki', format: 'der' }).toString('base64'), ...(jwk.x5c ?? [])];
        return needles.some((needle) => texts.some((text) => text.includes(needle)));
      })
      .map(({ kid }) => kid);
  }
}
