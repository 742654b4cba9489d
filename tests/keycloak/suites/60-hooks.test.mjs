// Interceptors that fail in every way they can, under each of the four policies, with the time it took.

import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { gzipSync } from 'node:zlib';

import { allow, scalekit } from '../lib/hooks.mjs';
import { paths } from '../lib/keycloak.mjs';
import { claimsOf } from '../lib/party.mjs';
import { secretOf } from '../realm.mjs';
import { World } from '../lib/world.mjs';

const timeout = 400;
/** What the test itself, the upstream and two busy cores may add to the timeout. */
const slack = 1000;

const policies = ['deny', 'allow'];
const cells = policies.flatMap((failure) => policies.map((invalid) => ({ name: `${failure}-${invalid}`, failure, invalid })));

const tables = (endpoint) =>
  cells.map(({ name, failure, invalid }) => ({
    name,
    trigger: 'PRE_M2M_TOKEN_CREATION',
    endpoint: endpoint(name),
    timeout: `${timeout}ms`,
    on_failure: failure,
    on_invalid: invalid,
    when: { clients: [`matrix-${name}`] },
    // Here every call fails on purpose: neither the breaker nor the limit of fail-opens is to hide what a call comes to.
    breaker: { failures_in_a_row: 1_000_000, failure_share: 1, minimum_calls: 1_000_000 },
    fail_open_limit: 1,
  }));

let world;

before(async () => {
  world = await World.open('hooks', { interceptors: (hooks) => tables((name) => hooks.url(name)) });
  for (const { name } of cells) {
    const clientId = `matrix-${name}`;
    const made = await world.keycloak.admin('POST', '/tg/clients', { clientId, secret: secretOf(clientId), serviceAccountsEnabled: true, standardFlowEnabled: false, publicClient: false });
    assert.ok([201, 409].includes(made.status), made.text);
  }
});
after(() => world?.close());

async function ask(name, origin) {
  const clientId = `matrix-${name}`;
  const answer = await world.post(paths.token, { grant_type: 'client_credentials', client_id: clientId, client_secret: world.canaries.add('client secret', secretOf(clientId)) }, {}, origin);
  return { answer, claims: answer.status === 200 ? claimsOf(answer.json.access_token) : undefined };
}

const json = { 'content-type': 'application/json' };
const reply = (status, headers, body) => (request, response) => {
  response.writeHead(status, headers);
  response.end(body);
};
const said = (text) => reply(200, json, text);
const allowed = '{"decision":"ALLOW","response":{"claims":{"slipped":true}}}';
const claims = (value) => said(JSON.stringify({ decision: 'ALLOW', response: { claims: value } }));
const drip = (begin) => (request, response) => {
  begin(response);
  const timer = setInterval(() => response.write(' '), 40);
  response.on('close', () => clearInterval(timer));
};
const raw = (text, end = true) => (request, response) => {
  response.socket.write(text);
  if (end) response.socket.end();
};

// No answer: `on_failure`.
const down = {
  'hangs': () => {},
  'resets the connection': (request, response) => response.socket.resetAndDestroy(),
  'closes without an answer': (request, response) => response.socket.end(),
  'sends a head and hangs': (request, response) => {
    response.writeHead(200, json);
    response.flushHeaders();
  },
  'trickles a head': (request, response) => {
    response.socket.write('HTTP/1.1 200 OK\r\nX: ');
    const timer = setInterval(() => response.socket.write('x'), 40);
    response.socket.on('close', () => clearInterval(timer));
  },
  'trickles a body': drip((response) => response.writeHead(200, json)),
  'trickles a body before a good answer': drip((response) => {
    response.writeHead(200, json);
    setTimeout(() => response.end(allowed), timeout * 3);
  }),
  'answers too late': (request, response) => setTimeout(() => said(allowed)(request, response), timeout * 2),
  'breaks off in the body': (request, response) => {
    response.writeHead(200, { ...json, 'content-length': allowed.length + 10 });
    response.write(allowed);
    setTimeout(() => response.socket.destroy(), 20);
  },
  'answers 429': reply(429, json, allowed),
  'answers 500': reply(500, json, allowed),
  'answers 502': reply(502, json, allowed),
  'answers 503': reply(503, { ...json, 'retry-after': '1' }, allowed),
  'answers 504': reply(504, json, allowed),
};

// An answer that cannot be taken: `on_invalid`.
const invalid = {
  'answers 201': reply(201, json, allowed),
  'answers 202': reply(202, json, allowed),
  'answers 206': reply(206, json, allowed),
  'redirects with 301': (request, response) => reply(301, { location: world.hooks.url('elsewhere') }, '')(request, response),
  'redirects with 307': (request, response) => reply(307, { location: world.hooks.url('elsewhere') }, '')(request, response),
  'answers 304': reply(304, {}, ''),
  'answers 400': reply(400, json, allowed),
  'answers 401': reply(401, json, allowed),
  'answers 403': reply(403, json, allowed),
  'answers 404': reply(404, json, allowed),
  'answers HTML': reply(200, { 'content-type': 'text/html' }, '<h1>ALLOW</h1>'),
  'answers JSON as text/plain': reply(200, { 'content-type': 'text/plain' }, allowed),
  'answers JSON without a content type': reply(200, {}, allowed),
  'answers 200 with nothing': reply(200, json, ''),
  'answers 10 MB': said(`{"decision":"ALLOW","x":"${'x'.repeat(10_000_000)}"}`),
  'answers 300 KB of good JSON': said(`${allowed}${' '.repeat(300_000)}`),
  'answers without an end': (request, response) => {
    response.writeHead(200, json);
    const timer = setInterval(() => response.write(' '.repeat(65_536)), 1);
    response.on('close', () => clearInterval(timer));
  },
  'compresses unasked': reply(200, { ...json, 'content-encoding': 'gzip' }, gzipSync(allowed)),
  'answers half a JSON': said(allowed.slice(0, 30)),
  'answers two documents': said(`${allowed}${allowed}`),
  'answers garbage behind the document': said(`${allowed} nonsense`),
  'answers with a byte-order mark': said(`\ufeff${allowed}`),
  'answers UTF-16': said(Buffer.from(allowed, 'utf16le')),
  'answers bytes that are no UTF-8': said(Buffer.concat([Buffer.from('{"decision":"ALLOW","x":"'), Buffer.from([0xff]), Buffer.from('"}')])),
  'answers a key twice': said('{"decision":"DENY","decision":"ALLOW"}'),
  'answers a claim twice': said('{"decision":"ALLOW","response":{"claims":{"plan":"a","plan":"b"}}}'),
  'answers a list': said(`[${allowed}]`),
  'answers a string': said('"ALLOW"'),
  'answers null': said('null'),
  'answers true': said('true'),
  'answers no decision': said('{}'),
  'answers an unknown decision': said('{"decision":"MAYBE"}'),
  'answers a decision in small letters': said('{"decision":"allow"}'),
  'answers a decision with a space': said('{"decision":"ALLOW "}'),
  'answers a number as the decision': said('{"decision":1}'),
  'answers a list as the decision': said('{"decision":["ALLOW"]}'),
  'answers claims that are a list': claims(['plan']),
  'answers claims that are a string': claims('plan'),
  'answers a response that is a list': said('{"decision":"ALLOW","response":[]}'),
  'answers deep nesting': said(`{"decision":"ALLOW","response":{"claims":{"x":${'['.repeat(2000)}${']'.repeat(2000)}}}}`),
  'answers claims of 20 KB': claims({ plan: 'x'.repeat(20_000) }),
  'answers the wrong kind of aud': claims({ aud: 7 }),
  ...Object.fromEntries(
    ['iss', 'sub', 'exp', 'nbf', 'iat', 'jti', 'azp', 'client_id', 'nonce', 'at_hash', 'c_hash', 's_hash', 'auth_time', 'acr', 'amr', 'sid', 'cnf', 'act', 'may_act', 'typ'].map((name) => [
      `sets ${name}`,
      claims({ plan: 'gold', [name]: 'x' }),
    ]),
  ),
  'replaces a claim of the upstream': claims({ preferred_username: 'admin' }),
};

// What is neither: answers that HTTP itself refuses, or that are never given, may count as one or the other, but never as a decision.
const either = {
  'announces 10 MB': (request, response) => {
    response.writeHead(200, { ...json, 'content-length': 10_000_000 });
    response.write(allowed);
  },
  'answers what is no HTTP': raw('ALLOW\r\n\r\n'),
  'answers HTTP/0.9': raw(allowed),
  'answers a bad chunk': raw(`HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\nZZ\r\n${allowed}\r\n0\r\n\r\n`),
  'answers two lengths': raw(`HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 5\r\nContent-Length: ${allowed.length}\r\n\r\n${allowed}`),
  'answers a head of 1 MB': raw(`HTTP/1.1 200 OK\r\nX: ${'x'.repeat(1_000_000)}\r\n\r\n`),
  'upgrades': raw('HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n'),
  'sends interim answers for ever': (request, response) => {
    const timer = setInterval(() => response.socket.write('HTTP/1.1 103 Early Hints\r\n\r\n'), 5);
    response.socket.on('close', () => clearInterval(timer));
  },
};

function assertOutcome({ answer, claims: got }, open, what) {
  if (open) {
    assert.equal(answer.status, 200, `${what}: ${answer.status} ${answer.text}`);
    assert.equal(got.slipped, undefined, `${what}: claims of a bad answer were taken`);
    assert.equal(got.plan, undefined, `${what}: claims of a bad answer were taken`);
  } else {
    assert.ok(answer.status >= 400, `${what}: ${answer.status}`);
    assert.equal(answer.json.access_token, undefined);
    assert.ok(answer.json.error && answer.json.error_description, `${what}: ${answer.text}`);
  }
}

/** One bad behaviour in all four cells at once: the outcomes, the times, and what the audit says of each. */
async function tryAll(t, behaviour, kinds, opens) {
  const since = world.hooks.calls.length;
  const spent = await Promise.all(
    cells.map(async (cell) => {
      if (behaviour) world.hooks.answer(cell.name, behaviour);
      const result = await ask(cell.name);
      const what = `on_failure ${cell.failure}, on_invalid ${cell.invalid}`;
      const open = opens?.(cell) ?? result.answer.status === 200;
      assertOutcome(result, open, what);
      assert.ok(result.answer.ms < timeout + slack, `${what}: took ${result.answer.ms.toFixed(0)} ms`);
      return { ...cell, open, ms: result.answer.ms };
    }),
  );
  if (behaviour) for (const { name } of cells) assert.ok(world.hooks.calls.slice(since).some((call) => call.interceptor === name), `${name} was not called`);
  const records = await world.tollgate.audit('--kind', 'consult', '--limit', '12');
  for (const { name, failure, invalid, open } of spent) {
    const record = records.find(({ interceptor }) => interceptor === name);
    assert.ok(record, `${name}: no record`);
    assert.ok(kinds.includes(record.failure?.kind), `${name}: ${JSON.stringify(record.failure)}`);
    assert.ok(record.failure.detail.length > 5, 'the audit does not say why');
    assert.equal(record.decision, open ? 'allow' : 'deny');
    assert.equal(record.decided_by, record.failure.kind === 'down' ? 'on_failure' : 'on_invalid');
    assert.equal(record.decision, record.failure.kind === 'down' ? failure : invalid);
  }
  t.diagnostic(`${records[0].failure.kind}: ${records[0].failure.detail}; ${Math.min(...spent.map(({ ms }) => ms)).toFixed(0)} to ${Math.max(...spent.map(({ ms }) => ms)).toFixed(0)} ms`);
}

describe('an interceptor that gives no answer', () => {
  for (const [name, behaviour] of Object.entries(down)) test(name, (t) => tryAll(t, behaviour, ['down'], ({ failure }) => failure === 'allow'));
});

describe('an interceptor that gives a wrong answer', () => {
  for (const [name, behaviour] of Object.entries(invalid)) test(name, (t) => tryAll(t, behaviour, ['invalid'], (cell) => cell.invalid === 'allow'));
});

describe('an interceptor whose answer is none', () => {
  for (const [name, behaviour] of Object.entries(either)) test(name, (t) => tryAll(t, behaviour, ['down', 'invalid']));
});

test('a good answer afterwards is taken at once', async () => {
  for (const { name } of cells) {
    world.hooks.answer(name, allow({ claims: { plan: 'gold' } }));
    assert.equal((await ask(name)).claims.plan, 'gold');
    world.hooks.answer(name, (request, response) => response.writeHead(204).end());
    assert.equal((await ask(name)).answer.status, 200);
  }
});

test('nobody followed a redirect', () => assert.ok(!world.hooks.calls.some(({ interceptor }) => interceptor === 'elsewhere')));

describe('an endpoint that cannot be reached', () => {
  const endpoints = {
    'nobody listens': () => 'http://127.0.0.1:9/hook',
    'its name does not exist': () => 'http://no-such-name.invalid/hook',
    'no TLS where TLS is expected': (name) => world.hooks.url(name).replace('http:', 'https:'),
  };
  for (const [name, endpoint] of Object.entries(endpoints)) {
    test(name, async (t) => {
      await world.reconfigure(tables(endpoint));
      await tryAll(t, undefined, ['down'], ({ failure }) => failure === 'allow');
    });
  }
});

test('a call that may be repeated is repeated once, under the same id and freshly signed', async () => {
  const [table] = tables((name) => world.hooks.url(name)).filter(({ name }) => name === 'deny-deny');
  await world.reconfigure([{ ...table, retries: 1 }]);
  const since = world.hooks.calls.length;
  world.hooks.answer('deny-deny', (request, response, call) => {
    const first = !world.hooks.calls.slice(since, -1).some(({ headers }) => headers['interceptor-id'] === call.headers['interceptor-id']);
    (first ? reply(503, json, '{}') : allow({ claims: { plan: 'gold' } }))(request, response);
  });
  assert.equal((await ask('deny-deny')).claims.plan, 'gold');
  const attempts = world.hooks.calls.slice(since).map(({ headers }) => headers);
  assert.deepEqual(attempts.map((headers) => headers['interceptor-attempt']), ['1', '2']);
  assert.equal(attempts[0]['interceptor-id'], attempts[1]['interceptor-id']);
  assert.deepEqual(world.hooks.forged, []);
});

test('while a secret is changed, endpoints with the old one and with the new one both verify', async () => {
  const [table] = tables((name) => world.hooks.url(name)).filter(({ name }) => name === 'deny-deny');
  const fresh = `whsec_${randomBytes(32).toString('base64')}`;
  writeFileSync(join(world.folder, 'fresh.key'), world.canaries.add('interceptor secret', fresh), { mode: 0o600 });
  await world.reconfigure([{ ...table, secret: { file: 'fresh.key' }, previous_secret: { file: 'hook.key' } }]);
  world.hooks.answer('deny-deny', allow({ claims: { plan: 'gold' } }));
  assert.equal((await ask('deny-deny')).claims.plan, 'gold');
  const { headers, body } = world.hooks.calls.at(-1);
  assert.equal(headers['interceptor-signature'].split(' ').length, 2);
  assert.equal(scalekit.verifyInterceptorPayload(fresh, headers, body), true);
  assert.deepEqual(world.hooks.forged, []);
});

test('the breaker opens, answers at once by policy, and closes again', async () => {
  const [table] = tables((name) => world.hooks.url(name)).filter(({ name }) => name === 'deny-deny');
  await world.reconfigure([{ ...table, breaker: { failures_in_a_row: 3, open_for: '500ms' } }]);
  // Each process has a breaker of its own.
  for (const origin of world.tollgate.origins) {
    world.hooks.answer('deny-deny', () => {});
    for (let i = 0; i < 3; i += 1) assert.ok((await ask('deny-deny', origin)).answer.status >= 400);
    const calls = world.hooks.calls.length;
    const { answer } = await ask('deny-deny', origin);
    assert.ok(answer.status >= 400);
    assert.equal(world.hooks.calls.length, calls, 'the endpoint was called although the breaker is open');
    assert.ok(answer.ms < timeout, `${answer.ms} ms`);
    world.hooks.answer('deny-deny', allow({ claims: { plan: 'gold' } }));
    const deadline = Date.now() + 5000;
    let claimsNow;
    while (!claimsNow && Date.now() < deadline) ({ claims: claimsNow } = await ask('deny-deny', origin));
    assert.equal(claimsNow?.plan, 'gold');
  }
});

test('too many fail-opens in a minute close the gate', async () => {
  const [table] = tables((name) => world.hooks.url(name)).filter(({ name }) => name === 'allow-deny');
  await world.reconfigure([{ ...table, fail_open_limit: 0.2 }]);
  world.hooks.answer('allow-deny', (request, response) => response.socket.resetAndDestroy());
  const statuses = [];
  for (let i = 0; i < 20; i += 1) statuses.push((await ask('allow-deny')).answer.status);
  assert.ok(statuses.includes(200), 'it never failed open');
  assert.ok(statuses.slice(-5).every((status) => status >= 400), statuses.join(' '));
});
