// HTTP/2 floods: memory stays bounded, and a clean request is served during and after each.

import { once } from 'node:events';
import { Worker } from 'node:worker_threads';

import { FLOODS } from './lib/attackers.mjs';
import { provider } from './lib/provider.mjs';
import { MIB, expect, pause, slowdown, tollgate } from './lib/proxy.mjs';

const LENGTH = 2500;

export default async function floods(run) {
  const idp = await provider();
  const proxy = await tollgate(run, 'floods', { provider: idp, upstream: idp.port });
  for (let i = 0; i < 50; i += 1) expect((await proxy.get('/jwks')).status === 200, 'service before');
  const figures = [];
  // What Tollgate answers by itself: how busy the provider is shall not be measured.
  for (const name of Object.keys(FLOODS)) {
    const before = proxy.memory();
    const limit = 2000 * slowdown();
    const attacker = new Worker(new URL('./lib/attackers.mjs', import.meta.url), { workerData: { port: proxy.port, name } });
    let [peak, slowest] = [before, 0];
    const began = performance.now();
    while (performance.now() - began < LENGTH) {
      const page = await proxy.get('/jwks', { limit: 3 * limit });
      expect(page.status === 200 && page.ms < limit, `${name}: a clean request within ${limit.toFixed(0)} ms, got ${page.error ?? page.status} after ${page.ms.toFixed(0)} ms`);
      slowest = Math.max(slowest, page.ms);
      peak = Math.max(peak, proxy.memory());
      await pause(20);
    }
    attacker.postMessage('stop');
    const [made] = await once(attacker, 'message');
    const after = await proxy.get('/jwks', { limit: 3 * limit });
    expect(after.status === 200 && after.ms < limit, `${name}: a clean request afterwards, got ${JSON.stringify(after)}`);
    const grown = (peak - before) / MIB;
    expect(grown <= 64, `${name}: memory to grow by no more than 64 MiB, it grew by ${grown.toFixed(1)}`);
    figures.push(`${name}: ${made.rounds} rounds over ${made.connections} connections, memory +${grown.toFixed(1)} MiB, clean requests up to ${slowest.toFixed(0)} ms`);
  }
  await proxy.stop();
  idp.close();
  return figures;
}
