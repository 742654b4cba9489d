// HTTP/2 floods: memory stays bounded, and a clean request is served during and after each.

import { once } from 'node:events';
import { Worker } from 'node:worker_threads';

import { FLOODS } from './lib/attackers.mjs';
import { provider } from './lib/provider.mjs';
import { MIB, expect, pause, tollgate } from './lib/proxy.mjs';

const LENGTH = 2500;

export default async function floods(run) {
  const idp = await provider();
  const proxy = await tollgate(run, 'floods', { provider: idp, upstream: idp.port });
  for (let i = 0; i < 50; i += 1) expect((await proxy.get('/page')).status === 200, 'service before');
  const figures = [];
  for (const name of Object.keys(FLOODS)) {
    const before = proxy.memory();
    const attacker = new Worker(new URL('./lib/attackers.mjs', import.meta.url), { workerData: { port: proxy.port, name } });
    let [peak, slowest] = [before, 0];
    const began = performance.now();
    while (performance.now() - began < LENGTH) {
      const page = await proxy.get('/page', { limit: 5000 });
      expect(page.status === 200 && page.ms < 2000, `${name}: a clean request within 2 s, got ${JSON.stringify(page)}`);
      slowest = Math.max(slowest, page.ms);
      peak = Math.max(peak, proxy.memory());
      await pause(20);
    }
    attacker.postMessage('stop');
    const [made] = await once(attacker, 'message');
    const after = await proxy.get('/page', { limit: 5000 });
    expect(after.status === 200 && after.ms < 2000, `${name}: a clean request afterwards, got ${JSON.stringify(after)}`);
    const grown = (peak - before) / MIB;
    expect(grown <= 64, `${name}: memory to grow by no more than 64 MiB, it grew by ${grown.toFixed(1)}`);
    figures.push(`${name}: ${made.rounds} rounds over ${made.connections} connections, memory +${grown.toFixed(1)} MiB, clean requests up to ${slowest.toFixed(0)} ms`);
  }
  await proxy.stop();
  idp.close();
  return figures;
}
