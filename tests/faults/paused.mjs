// Thousands of requests paused at an endpoint that hangs: bounded memory, and nobody else is slowed.

import http2 from 'node:http2';

import { endpoint as apart } from './lib/endpoint.mjs';
import { hook, provider } from './lib/provider.mjs';
import { MIB, expect, quantile, tollgate, until } from './lib/proxy.mjs';

const MANY = Number(process.env.PAUSED ?? 10_000);
const A_CONNECTION = 100;
/** The longest that can be configured. */
const TIMEOUT = 30_000;

export default async function paused(run) {
  const [idp, endpoint, hanging] = [await provider(), await hook(), await apart('silent')];
  const places = `max_concurrent = 20000\nmax_concurrent_per_client = 20000`;
  const proxy = await tollgate(run, 'paused', {
    provider: idp,
    upstream: idp.port,
    top: 'consult_budget = "60s"',
    listen: 'max_requests = 20000\nmax_paused = 20000',
    interceptors: [
      { name: 'hangs', trigger: 'PRE_SIGNUP', url: `http://127.0.0.1:${hanging.port}/`, lines: `timeout = "${TIMEOUT}ms"\non_failure = "deny"\n${places}` },
      { name: 'answers', trigger: 'PRE_M2M_TOKEN_CREATION', url: `http://127.0.0.1:${endpoint.port}/`, lines: 'on_failure = "deny"' },
    ],
  });
  const others = async (count) => {
    const times = { health: [], page: [], token: [] };
    for (let i = 0; i < count; i += 1) {
      const [health, page, token] = [await proxy.health(), await proxy.get('/page'), await proxy.machineToken()];
      expect(health.status === 200 && page.status === 200 && token.status === 200, `all others served: ${health.status} ${page.status} ${token.status}`);
      for (const [name, answer] of Object.entries({ health, page, token })) times[name].push(answer.ms);
    }
    return Object.fromEntries(Object.entries(times).map(([name, ms]) => [name, quantile(ms, 0.5)]));
  };
  const quiet = await others(20);
  const before = proxy.memory();

  const sessions = [];
  const answers = [];
  const began = performance.now();
  for (let i = 0; i < MANY; i += A_CONNECTION) {
    const session = http2.connect(`http://127.0.0.1:${proxy.port}`);
    session.on('error', () => {});
    sessions.push(session);
    for (let j = 0; j < A_CONNECTION; j += 1) answers.push(signup(session, `user${i + j}@example.com`));
  }
  await until('all are paused', async () => (await proxy.metric('tollgate_requests_paused', 'PRE_SIGNUP')) === MANY, TIMEOUT - 1000);
  const arrived = performance.now() - began;
  const memory = proxy.memory();
  const busy = await others(20);

  const ended = await Promise.all(answers);
  const denied = ended.filter((answer) => answer.status === 400).length;
  expect(denied === MANY, `every one of ${MANY} to end by its policy, ${denied} did; another ended with ${JSON.stringify(ended.find((answer) => answer.status !== 400))}`);
  const slowest = Math.max(...ended.map((answer) => answer.ms));
  sessions.forEach((session) => session.close());
  expect(busy.health < 1000 && busy.page < 1000 && busy.token < 1000, `nobody else to be slowed: ${JSON.stringify(busy)}`);
  const each = (memory - before) / MANY / 1024;
  expect(each < 64, `a paused request to take less than 64 KiB, it takes ${each.toFixed(1)}`);
  const figures = [
    `${MANY} requests paused within ${(arrived / 1000).toFixed(1)} s: ${each.toFixed(1)} KiB of memory each (${(before / MIB).toFixed(0)} to ${(memory / MIB).toFixed(0)} MiB)`,
    `meanwhile, medians in ms: health ${busy.health.toFixed(1)} (before: ${quiet.health.toFixed(1)}), page ${busy.page.toFixed(1)} (${quiet.page.toFixed(1)}), token of another interceptor ${busy.token.toFixed(1)} (${quiet.token.toFixed(1)})`,
    `all ${denied} denied by their policy, the last one after ${(slowest / 1000).toFixed(1)} s (timeout ${TIMEOUT / 1000} s)`,
  ];
  await proxy.stop();
  idp.close();
  endpoint.close();
  await hanging.close();
  return figures;
}

function signup(session, email) {
  const began = performance.now();
  return new Promise((resolve) => {
    const stream = session.request({ ':method': 'POST', ':path': '/signup', 'content-type': 'application/x-www-form-urlencoded' });
    const end = (answer) => resolve({ ms: performance.now() - began, ...answer });
    stream.on('response', (headers) => end({ status: headers[':status'] }));
    stream.on('error', (error) => end({ error: error.code ?? error.message }));
    stream.resume().end(`email=${encodeURIComponent(email)}`);
  });
}
