// A small OpenID provider whose answers can be spoilt, and an interceptor's endpoint.

import { createSign, generateKeyPairSync, randomUUID } from 'node:crypto';
import http from 'node:http';

const { publicKey, privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
const jwk = { ...publicKey.export({ format: 'jwk' }), kid: 'upstream-1', alg: 'ES256', use: 'sig' };
const b64 = (value) => Buffer.from(typeof value === 'string' ? value : JSON.stringify(value)).toString('base64url');

function sign(claims) {
  const input = `${b64({ alg: 'ES256', typ: 'JWT', kid: jwk.kid })}.${b64(claims)}`;
  const signature = createSign('SHA256').update(input).sign({ key: privateKey, dsaEncoding: 'ieee-p1363' });
  return `${input}.${signature.toString('base64url')}`;
}

/** What becomes of an answer that is all there: as a wire would spoil it, for one path alone. */
export const spoil = {
  none: (answer, text) => answer.end(text),
  refuse: (answer) => answer.writeHead(503).end(),
  reset: (answer) => answer.socket.resetAndDestroy(),
  'black hole': () => {},
  drip: (answer, text) => {
    answer.flushHeaders();
    let sent = 0;
    const timer = setInterval(() => {
      if (sent >= text.length || answer.destroyed) return clearInterval(timer), answer.end();
      answer.write(text[sent++]);
    }, 100);
  },
  half: (answer, text) => {
    answer.write(text.slice(0, text.length / 2));
    setTimeout(() => answer.socket?.destroy(), 20);
  },
  latency: (answer, text) => setTimeout(() => answer.end(text), 300),
};

/** `{ port, seen, fate, capacity, close }`: requests by path, and what becomes of a path's answers. */
export async function provider() {
  const self = { seen: new Map(), fate: new Map(), delay: 0, places: Infinity, issuer: '' };
  const queue = [];
  let busy = 0;
  const tokens = (client) => {
    const now = Math.floor(Date.now() / 1000);
    const claims = { iss: self.issuer, sub: randomUUID(), aud: 'api', azp: client, iat: now, exp: now + 300, jti: randomUUID(), scope: 'email' };
    return JSON.stringify({ access_token: sign(claims), token_type: 'Bearer', expires_in: 300, scope: 'email' });
  };
  const content = (path, client) => {
    switch (path) {
      case '/.well-known/openid-configuration':
        return JSON.stringify({
          issuer: self.issuer,
          authorization_endpoint: `${self.issuer}/authorize`,
          token_endpoint: `${self.issuer}/token`,
          jwks_uri: `${self.issuer}/jwks`,
          revocation_endpoint: `${self.issuer}/revoke`,
          response_types_supported: ['code'],
          id_token_signing_alg_values_supported: ['ES256'],
        });
      case '/jwks':
        return JSON.stringify({ keys: [jwk] });
      case '/token':
        return tokens(client);
      default:
        return JSON.stringify({ reached: path, filler: 'x'.repeat(400) });
    }
  };
  const serve = (request, answer) => {
    const path = request.url.split('?')[0];
    const client = Buffer.from(request.headers.authorization?.split(' ')[1] ?? '', 'base64').toString().split(':')[0];
    const text = content(path, client);
    answer.writeHead(200, { 'content-type': 'application/json', 'content-length': Buffer.byteLength(text) });
    spoil[self.fate.get(path) ?? 'none'](answer, text);
  };
  const next = () => {
    while (busy < self.places && queue.length > 0) {
      const [request, answer] = queue.shift();
      if (answer.destroyed) continue;
      busy += 1;
      const done = () => {
        busy -= 1;
        serve(request, answer);
        next();
      };
      if (self.delay > 0) setTimeout(done, self.delay);
      else done();
    }
  };
  const server = http.createServer({ keepAliveTimeout: 60_000 }, (request, answer) => {
    const path = request.url.split('?')[0];
    self.seen.set(path, (self.seen.get(path) ?? 0) + 1);
    if (self.fate.get(path) === 'refuse') return request.resume(), answer.writeHead(503).end();
    request.on('error', () => {});
    request.resume();
    request.on('end', () => {
      queue.push([request, answer]);
      next();
    });
  });
  server.on('clientError', (_, socket) => socket.destroy());
  self.port = await listening(server);
  self.close = () => {
    server.close();
    server.closeAllConnections();
  };
  return self;
}

/** An endpoint that answers `decision` after `delay` ms. */
export async function hook() {
  const self = { asked: 0, decision: 'ALLOW', delay: 0 };
  const server = http.createServer({ keepAliveTimeout: 60_000 }, (request, answer) => {
    self.asked += 1;
    request.resume();
    request.on('error', () => {});
    request.on('end', () => {
      const document = self.decision === 'ALLOW' ? { decision: 'ALLOW' } : { decision: 'DENY', error: { message: 'No' } };
      const text = JSON.stringify(document);
      setTimeout(() => answer.writeHead(200, { 'content-type': 'application/json', 'content-length': text.length }).end(text), self.delay);
    });
  });
  server.maxConnections = 0;
  server.requestTimeout = 0;
  self.port = await listening(server);
  self.close = () => {
    server.close();
    server.closeAllConnections();
  };
  return self;
}

function listening(server) {
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen({ port: 0, host: '127.0.0.1', backlog: 8192 }, () => resolve(server.address().port));
  });
}

