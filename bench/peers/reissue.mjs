// What one would write by hand: a proxy for the token endpoint with `jose`, which verifies both tokens, asks the endpoint, adds its claims and signs again.
//   node reissue.mjs PORT UPSTREAM-PORT HOOK-PORT

import { createHash } from 'node:crypto';
import http from 'node:http';

import { createLocalJWKSet, generateKeyPair, jwtVerify, SignJWT } from 'jose';

const [port, upstream, hook] = process.argv.slice(2).map(Number);
const agent = new http.Agent({ keepAlive: true, maxSockets: 64 });
const issuer = `http://127.0.0.1:${port}/realms/bench`;
const { privateKey } = await generateKeyPair('RS256');

/** A request with its whole answer. */
function ask(target, { path, method, headers, body }) {
  return new Promise((resolve, reject) => {
    const request = http.request({ agent, host: '127.0.0.1', port: target, path, method, headers }, (answer) => {
      const parts = [];
      answer.on('data', (part) => parts.push(part));
      answer.on('end', () => resolve({ status: answer.statusCode, text: Buffer.concat(parts).toString() }));
    });
    request.once('error', reject);
    request.end(body);
  });
}

const jwks = createLocalJWKSet(JSON.parse((await ask(upstream, { path: '/realms/bench/protocol/openid-connect/certs', method: 'GET' })).text));

async function serve(request, response) {
  const parts = [];
  for await (const part of request) parts.push(part);
  const body = Buffer.concat(parts);
  const answer = await ask(upstream, { path: request.url, method: request.method, headers: request.headers, body });
  if (request.method !== 'POST') {
    response.writeHead(answer.status);
    response.end(answer.text);
    return;
  }
  const tokens = JSON.parse(answer.text);
  const access = await jwtVerify(tokens.access_token, jwks, { algorithms: ['RS256'] });
  const id = await jwtVerify(tokens.id_token, jwks, { algorithms: ['RS256'] });
  const event = JSON.stringify({ trigger_point: 'PRE_SESSION_CREATION', data: { claims: { access_token: access.payload, id_token: id.payload } } });
  const verdict = JSON.parse((await ask(hook, { path: '/claims', method: 'POST', headers: { 'content-type': 'application/json' }, body: event })).text);
  const { claims } = verdict.response;
  const header = { alg: 'RS256', kid: 'ours', typ: 'JWT' };
  tokens.access_token = await new SignJWT({ ...access.payload, ...claims }).setProtectedHeader(header).sign(privateKey);
  const hash = createHash('sha256').update(tokens.access_token).digest().subarray(0, 16).toString('base64url');
  tokens.id_token = await new SignJWT({ ...id.payload, ...claims, at_hash: hash }).setProtectedHeader(header).sign(privateKey);
  response.writeHead(answer.status, { 'content-type': 'application/json', 'cache-control': 'no-store' });
  response.end(JSON.stringify(tokens));
}

http
  .createServer((request, response) => {
    serve(request, response).catch((error) => {
      response.writeHead(502);
      response.end(String(error));
    });
  })
  .listen(port, '127.0.0.1', () => console.log(`serving ${issuer}`));
