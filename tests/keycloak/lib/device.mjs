// The other device on which a user agrees to a login (CIBA): Keycloak tells it, and it answers Keycloak by the front door.

import { once } from 'node:events';
import http from 'node:http';

import { paths } from './keycloak.mjs';

/** Runs `begin`, which makes Keycloak ask a user; gives what came of it, how the user says yes, and with which authorization. */
export async function askedElsewhere(world, begin) {
  let authorization;
  const device = http.createServer((request, response) => {
    authorization = request.headers.authorization;
    request.resume().on('end', () => response.writeHead(201).end());
  });
  device.listen(Number(process.env.CIBA_PORT), '127.0.0.1');
  await once(device, 'listening');
  try {
    const begun = await begin();
    const agree = () => world.send({ method: 'POST', target: `${paths.protocol}/ext/ciba/auth/callback`, headers: { Authorization: authorization, 'Content-Type': 'application/json' }, body: '{"status":"SUCCEED"}' });
    return { begun, agree, authorization };
  } finally {
    device.close();
    device.closeAllConnections();
  }
}
