// An application that runs node-oidc-provider as a library, with everything on, and with a signup page and invitations of its own.
//   node provider.mjs PORT PUBLIC_ORIGIN     the secrets of users and clients come from SECRETS, a JSON object

import http from 'node:http';

import * as jose from 'jose';
import Provider from 'oidc-provider';

const [port, issuer] = [Number(process.argv[2]), process.argv[3]];
const secrets = JSON.parse(process.env.SECRETS);
const redirect = 'https://rp.example/cb';

/** The accounts, by their address: what the application is about. */
const accounts = new Map();
const invitations = [];
const open = (email, name, password) => accounts.set(email, { email, name, password });
for (const name of ['ada', 'bob']) open(`${name}@example.org`, name, secrets[name]);

const grants = ['authorization_code', 'refresh_token', 'client_credentials', 'implicit', 'urn:ietf:params:oauth:grant-type:device_code'];
const { publicKey, privateKey } = await jose.generateKeyPair('RS256', { extractable: true });
const key = { ...(await jose.exportJWK(privateKey)), kid: 'of-the-provider', use: 'sig', alg: 'RS256' };

const provider = new Provider(issuer, {
  jwks: { keys: [key] },
  clients: [
    {
      client_id: 'web',
      client_secret: secrets.web,
      redirect_uris: [redirect],
      post_logout_redirect_uris: ['https://rp.example/bye'],
      response_types: ['code', 'id_token', 'code id_token', 'none'],
      grant_types: grants,
      authorization_signed_response_alg: 'RS256',
    },
    { client_id: 'signed', client_secret: secrets.signed, redirect_uris: [redirect], grant_types: grants, response_types: ['code'], userinfo_signed_response_alg: 'RS256' },
    { client_id: 'svc', client_secret: secrets.svc, redirect_uris: [], response_types: [], grant_types: ['client_credentials'] },
  ],
  cookies: { keys: [secrets.cookies] },
  claims: { openid: ['sub'], email: ['email', 'email_verified'], profile: ['name'] },
  async findAccount(ctx, id) {
    const account = accounts.get(id);
    return account && { accountId: id, claims: async () => ({ sub: id, email: id, email_verified: true, name: account.name }) };
  },
  pkce: { required: () => false },
  scopes: ['openid', 'offline_access', 'email', 'profile', 'read'],
  features: {
    devInteractions: { enabled: true },
    clientCredentials: { enabled: true },
    introspection: { enabled: true },
    revocation: { enabled: true },
    deviceFlow: { enabled: true },
    pushedAuthorizationRequests: { enabled: true },
    registration: { enabled: true },
    jwtResponseModes: { enabled: true },
    jwtUserinfo: { enabled: true },
    jwtIntrospection: { enabled: true },
    dPoP: { enabled: true },
    claimsParameter: { enabled: true },
    resourceIndicators: {
      enabled: true,
      defaultResource: () => undefined,
      useGrantedResource: () => true,
      getResourceServerInfo: (ctx, resource) => ({
        scope: 'read',
        audience: resource,
        accessTokenTTL: 600,
        accessTokenFormat: resource === 'urn:api' ? 'jwt' : 'opaque',
        ...(resource === 'urn:api' && { jwt: { sign: { alg: 'RS256' } } }),
      }),
    },
  },
});
provider.proxy = true;
provider.on('server_error', (ctx, error) => console.error('server_error', error));

const oidc = provider.callback();

/** The application's own pages; the paths compare without regard to case, as the provider's do. */
async function application(request, response) {
  const { pathname } = new URL(request.url, issuer);
  const path = pathname.toLowerCase().replace(/\/$/, '');
  const invite = /^\/api\/organizations\/([^/]+)\/invitations$/.exec(path);
  if (request.method === 'POST' && path === '/signup') {
    const fields = new URLSearchParams(await body(request));
    if (!fields.get('email') || !fields.get('password')) return answer(response, 400, 'email and password are missing');
    open(fields.get('email'), fields.get('name') ?? '', fields.get('password'));
    return answer(response, 303, '', { Location: '/welcome' });
  }
  if (request.method === 'POST' && invite) {
    const token = /^bearer (.+)$/i.exec(request.headers.authorization ?? '')?.[1] ?? '';
    const caller = await jose.jwtVerify(token, publicKey, { issuer, audience: 'urn:api' }).catch(() => undefined);
    if (!caller) return answer(response, 401, 'who are you?');
    invitations.push({ email: JSON.parse(await body(request)).email, organization: invite[1], by: caller.payload.sub });
    return answer(response, 201, JSON.stringify({ invited: true }), { 'Content-Type': 'application/json' });
  }
  // What is really there: asked by the suite at the provider's own port.
  if (path === '/what-is-there') return answer(response, 200, JSON.stringify({ accounts: [...accounts.keys()], invitations }), { 'Content-Type': 'application/json' });
  return oidc(request, response);
}

async function body(request) {
  const chunks = [];
  for await (const chunk of request) chunks.push(chunk);
  return Buffer.concat(chunks).toString();
}

function answer(response, status, text, headers = {}) {
  response.writeHead(status, headers).end(text);
}

http.createServer((request, response) => application(request, response).catch((error) => answer(response, 500, String(error)))).listen(port, '127.0.0.1', () => console.log('ready'));
