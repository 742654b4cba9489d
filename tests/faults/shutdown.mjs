// SIGTERM under load: what was begun is finished, nobody's connection is reset, and the process ends.

import http2 from 'node:http2';

import { hook, provider } from './lib/provider.mjs';
import { ask, expect, pause, tollgate, until } from './lib/proxy.mjs';

const CLIENTS = 20;

export default async function shutdown(run) {
  const [idp, endpoint] = [await provider(), await hook()];
  idp.delay = 50;
  endpoint.delay = 200;
  const proxy = await tollgate(run, 'shutdown', {
    provider: idp,
    upstream: idp.port,
    interceptors: [{ name: 'slow', trigger: 'PRE_M2M_TOKEN_CREATION', url: `http://127.0.0.1:${endpoint.port}/`, lines: 'on_failure = "deny"' }],
  });
  const ends = { served: 0, 'not taken': 0 };
  const resets = [];
  let stopped = false;
  // `ECONNREFUSED` and HTTP/2's REFUSED_STREAM say that nothing was begun: a balancer tries elsewhere.
  const counts = (answer) => {
    if (answer.status === 200) ends.served += 1;
    else if (['ECONNREFUSED', 'NOT SENT'].includes(answer.error)) ends['not taken'] += 1;
    else resets.push(answer);
  };
  const each = async (number) => {
    while (!stopped) {
      const began = performance.now();
      counts(number % 2 ? await proxy.machineToken() : await proxy.get('/page'));
      if (performance.now() - began < 5) await pause(20);
    }
  };
  const session = http2.connect(`http://127.0.0.1:${proxy.port}`);
  session.on('error', () => {});
  const multiplexed = async () => {
    while (!stopped && !session.closed && !session.destroyed) counts(await stream(session));
  };
  const clients = [...Array.from({ length: CLIENTS }, (_, i) => each(i)), ...Array.from({ length: CLIENTS }, multiplexed)];
  await until('the load runs', () => ends.served > 200);
  const [before, signalled] = [ends.served, performance.now()];
  const over = await proxy.stop('SIGTERM');
  const took = performance.now() - signalled;
  await pause(200);
  stopped = true;
  await Promise.all(clients);
  session.destroy();
  expect(resets.length === 0, `no request to be reset, ${resets.length} were: ${JSON.stringify(resets.slice(0, 3))}`);
  expect(over.code === 0 && took < 30_000, `an end with 0 within 30 s, got ${JSON.stringify(over)} after ${took} ms`);
  expect((await ask(proxy.port, { path: '/page' })).error === 'ECONNREFUSED', 'nobody to listen any more');
  const figures = [
    `${2 * CLIENTS} clients: ${before} requests before SIGTERM, ${ends.served - before} finished after it, ${ends['not taken']} not taken, 0 reset`,
    `ended after ${(took / 1000).toFixed(2)} s`,
  ];
  idp.close();
  endpoint.close();
  return figures;
}

function stream(session) {
  return new Promise((resolve) => {
    let request;
    try {
      request = session.request({ ':path': '/page' });
    } catch {
      return resolve({ error: 'NOT SENT' });
    }
    let status;
    request.on('response', (headers) => (status = headers[':status']));
    request.on('close', () => resolve(status ? { status } : { error: request.rstCode === 7 || request.rstCode === 8 ? 'NOT SENT' : `stream ended with ${request.rstCode}` }));
    request.on('error', () => {}).resume().end();
  });
}
