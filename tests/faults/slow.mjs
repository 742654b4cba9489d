// Thousands of clients that send their heads or bodies a byte at a time: service all the while, and all of them are closed in time.

import { Worker } from 'node:worker_threads';

import { provider } from './lib/provider.mjs';
import { expect, pause, quantile, slowdown, tollgate, until } from './lib/proxy.mjs';

const EACH = 2000;
/** A fifth of the defaults: heads 10 s, bodies 30 s, all closed within 35 s. */
const HEAD = 2000;
const BODY = 6000;
const ALL = 7000;
const NAMES = { head: 'slow heads', read: 'slow bodies that are read', streamed: 'slow bodies that stream' };

export default async function slow(run) {
  const idp = await provider();
  const proxy = await tollgate(run, 'slow', {
    provider: idp,
    upstream: idp.port,
    listen: `header_timeout = "${HEAD}ms"\nbody_timeout = "${BODY}ms"`,
  });
  expect((await proxy.get('/page')).status === 200, 'service before');
  const head = `X-Slow: ${'x'.repeat(4000)}`;
  const kinds = [
    { name: 'head', begin: 'GET /page HTTP/1.1\r\n', rest: head, count: EACH },
    { name: 'read', begin: post(proxy, '/token'), rest: 'grant_type=password&x='.padEnd(4000, 'y'), count: EACH / 2 },
    { name: 'streamed', begin: post(proxy, '/anything'), rest: 'z'.repeat(4000), count: EACH / 2 },
  ];
  const clients = new Worker(new URL('./lib/slowly.mjs', import.meta.url), { workerData: { port: proxy.port, kinds } });
  const times = [];
  const late = slowdown();
  let lives;
  clients.on('message', (message) => (lives = message === 'begun' ? undefined : message));
  const began = performance.now();
  while (!lives) {
    const [page, health] = [await proxy.get('/page'), await proxy.health()];
    expect(page.status === 200 && health.status === 200, `service all the time, got ${JSON.stringify(page)}`);
    times.push(page.ms);
    expect(performance.now() - began < (2 * ALL + 10_000) * late, 'all to be closed by now');
    await pause(50);
  }
  const longest = Math.max(...Object.values(lives).flat());
  expect(longest < (ALL + 2000) * late, `the last one closed after ${ALL} ms, it took ${longest}`);
  await until('no connection is left', async () => (await proxy.metric('tollgate_connections_open')) === 0);
  const figures = [
    ...Object.entries(lives).map(([name, ms]) => `${NAMES[name]}: ${ms.length} closed after ${(quantile(ms, 0) / 1000).toFixed(1)} to ${(Math.max(...ms) / 1000).toFixed(1)} s`),
    `${2 * EACH} slow clients, limits a fifth of the defaults: the last one closed after ${(longest / 1000).toFixed(1)} s (with the defaults: ${((longest * 5) / 1000).toFixed(0)} s)`,
    `${times.length} requests meanwhile, all served: median ${quantile(times, 0.5).toFixed(1)} ms, slowest ${Math.max(...times).toFixed(1)} ms`,
  ];
  await proxy.stop();
  idp.close();
  return figures;
}

function post(proxy, path) {
  return `POST ${path} HTTP/1.1\r\nHost: 127.0.0.1:${proxy.port}\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: 4000\r\n\r\n`;
}
