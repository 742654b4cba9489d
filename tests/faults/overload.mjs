// Ten times what the provider can do: served or 503 with `Retry-After`, bounded memory, a quick recovery, and nothing opens by it.

import { endpoint as apart } from './lib/endpoint.mjs';
import { provider } from './lib/provider.mjs';
import { MIB, expect, pause, quantile, slowdown, tollgate, until } from './lib/proxy.mjs';

/** What the provider can do: so many requests at once, each so long. */
const PLACES = 10;
const DELAY = 100;
const CAPACITY = PLACES * (1000 / DELAY);
const SECONDS = 5;

export default async function overload(run) {
  const [idp, endpoint] = [await provider(), await apart('allowing')];
  [idp.places, idp.delay] = [PLACES, DELAY];
  const proxy = await tollgate(run, 'overload', {
    provider: idp,
    upstream: idp.port,
    listen: 'max_requests = 100\nmax_paused = 50',
    interceptors: [{ name: 'open', trigger: 'PRE_M2M_TOKEN_CREATION', url: `http://127.0.0.1:${endpoint.port}/`, lines: 'timeout = "3s"\non_failure = "allow"' }],
  });
  /** Requests at a rate, whatever becomes of the ones before: every second one a token. */
  const load = async (rate, seconds) => {
    const answers = [];
    const began = performance.now();
    for (let sent = 0; sent < rate * seconds; ) {
      const due = Math.min(rate * seconds, ((performance.now() - began) / 1000) * rate);
      for (; sent < due; sent += 1) answers.push(sent % 2 ? proxy.machineToken() : proxy.get('/page'));
      await pause(5);
    }
    return Promise.all(answers);
  };
  const normal = await load(CAPACITY / 2, 3);
  expect(normal.every((answer) => answer.status === 200), 'all served at half of the capacity');
  const usual = quantile(normal.map((answer) => answer.ms), 0.99);
  const before = proxy.memory();
  let peak = before;
  const watched = setInterval(() => (peak = Math.max(peak, proxy.memory())), 50);
  const healths = [];
  const looking = setInterval(() => healths.push(proxy.health()), 250);
  const answers = await load(10 * CAPACITY, SECONDS);
  clearInterval(watched);
  clearInterval(looking);
  const ended = performance.now();

  const served = answers.filter((answer) => answer.status === 200);
  const shed = answers.filter((answer) => answer.status === 503 && answer.headers['retry-after']);
  const others = answers.filter((answer) => !served.includes(answer) && !shed.includes(answer));
  expect(others.length === 0, `only 200 and 503 with Retry-After, also got ${JSON.stringify(others[0])}`);
  expect(shed.length > 0, 'something to be shed');
  expect((await Promise.all(healths)).every((health) => health.status === 200), 'health to answer all the time');
  await until('the answers are as quick as before', async () => {
    const later = await load(CAPACITY / 2, 0.5);
    return later.every((answer) => answer.status === 200) && quantile(later.map((answer) => answer.ms), 0.99) < 2 * usual + 50;
  });
  const recovery = performance.now() - ended;
  const opened = await proxy.metric('tollgate_fail_open_total');
  expect(opened === 0, `nothing to fail open, ${opened} did`);
  expect(recovery < 5500 * slowdown(), `a recovery within 5 s, it took ${recovery} ms`);
  // The floor is for what a process of this size rounds to.
  expect(peak < 2 * Math.max(before, 32 * MIB), `memory below twice of before, from ${before / MIB} to ${peak / MIB} MiB`);
  const figures = [
    `${(answers.length / SECONDS).toFixed(0)} requests a second where the provider can do ${CAPACITY}, for ${SECONDS} s: ${served.length} served (slowest ${Math.max(...served.map((answer) => answer.ms)).toFixed(0)} ms), ${shed.length} answered 503 with Retry-After (median ${quantile(shed.map((answer) => answer.ms), 0.5).toFixed(0)} ms), 0 others`,
    `memory ${(before / MIB).toFixed(0)} to ${(peak / MIB).toFixed(0)} MiB, ${opened} failed open, as quick as before within ${(recovery / 1000).toFixed(1)} s`,
  ];
  await proxy.stop();
  idp.close();
  await endpoint.close();
  return figures;
}
