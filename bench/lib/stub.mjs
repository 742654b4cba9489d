// The provider and the interceptor behind every proxy: an nginx with fixed answers.

import { mkdirSync } from 'node:fs';
import { join } from 'node:path';

import { filled } from './peers.mjs';
import { answering, Program } from './processes.mjs';
import { realm } from './tokens.mjs';

/** A page of 1 KiB that nobody recognises. */
export const page = '/page';
/** The token endpoint of a realm: `bench` (RS256), `es` (ES256), `opaque`. */
export const token = (name) => `/realms/${name}/protocol/openid-connect/token`;

/** Starts it on `core`, with tokens whose issuer is at `place.port`. */
export async function startStub(core, place) {
  const origin = `http://127.0.0.1:${place.port}`;
  const [rs, es] = [await realm(origin, 'bench', 'RS256'), await realm(origin, 'es', 'ES256')];
  const answers = {
    discovery: rs.discovery,
    jwks: rs.jwks,
    tokens: rs.tokens,
    discoveryEs: es.discovery,
    jwksEs: es.jwks,
    tokensEs: es.tokens,
    discoveryOpaque: rs.discovery.replaceAll('/realms/bench', '/realms/opaque'),
  };
  mkdirSync(join(place.run, 'stub'));
  const conf = filled('stub.conf', { ...place, ...answers, page: 'x'.repeat(1024) }, join(place.run, 'stub.conf'));
  const stub = new Program('stub', core, 'nginx', ['-c', conf], place);
  await answering(place.upstream, page, stub);
}
