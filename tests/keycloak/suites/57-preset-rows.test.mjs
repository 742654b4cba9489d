// No row of presets/keycloak.toml is there for nothing: without it the corpus fails.

import assert from 'node:assert/strict';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';

import { asking, openWorld } from '../corpus/asking.mjs';
import { Ground } from '../corpus/ground.mjs';
import { operations } from '../corpus/operations.mjs';
import { tryOut } from '../corpus/trial.mjs';
import { freePorts } from '../lib/processes.mjs';
import { gate } from '../lib/replicas.mjs';

const preset = readFileSync(new URL('../../../presets/keycloak.toml', import.meta.url), 'utf8');
// A row goes from its head to the next one, comments of the next included: they do no harm.
const [head, ...rows] = preset.split(/^(?=\[\[route\]\])/m);
const nameOf = (row) => /^name = "([^"]+)"/m.exec(row)[1];

let world;
let ground;
before(async () => {
  world = await openWorld('preset-rows');
  ground = await Ground.open(world);
});
after(async () => {
  ground?.close();
  await world?.close();
});

/** A Tollgate with a preset of its own, beside the one of the world and with the same keys. */
async function beside(name, text) {
  const [port] = await freePorts(1);
  const folder = join(world.folder, name);
  mkdirSync(folder, { recursive: true });
  writeFileSync(join(folder, 'preset.toml'), text);
  writeFileSync(join(folder, 'hook.key'), world.hooks.secret, { mode: 0o600 });
  const tollgate = gate(folder, {
    port,
    upstream: world.keycloak.url,
    interceptors: asking.map((entries) => world.complete(entries)),
    sections: {
      listen: { public_url: world.origin, names: [`127.0.0.1:${port}`] },
      upstream: { preset: 'preset.toml', egress: 'off' },
      tokens: { keys: join(world.folder, 'certs/signing'), capsule_secret: { file: join(world.folder, 'certs/capsule.key') } },
    },
  });
  await tollgate.start();
  return tollgate;
}

/** What is wrong with the plain requests of some operations under a preset. */
async function complaints(name, text, tried) {
  const tollgate = await beside(name, text);
  try {
    const found = [];
    for (const operation of tried) {
      try {
        const { slips, unserved } = await tryOut(ground.through(tollgate.origin), operation, { only: 'plain' });
        found.push(...slips, ...unserved);
      } catch (error) {
        // Not even what the operation needs could be had.
        found.push(`${operation.name}: ${error.message}`);
      }
    }
    return found;
  } finally {
    await tollgate.stop();
  }
}

test('as it is, the plain requests of all operations are asked about and served, or refused', async () => {
  assert.deepEqual(await complaints('whole', preset, operations), []);
});

describe('without this row the corpus fails', { concurrency: 3 }, () => {
  for (const row of rows.filter((text) => new RegExp(process.env.CORPUS ?? '').test(nameOf(text)))) {
    const name = nameOf(row);
    test(name, async (t) => {
      const tried = operations.filter(({ route }) => route === name);
      assert.notEqual(tried.length, 0, 'no operation of the corpus is about it');
      const found = await complaints(`without-${name}`, head + rows.filter((other) => other !== row).join(''), tried);
      assert.notEqual(found.length, 0, 'the corpus did not notice');
      t.diagnostic(found[0].slice(0, 160));
    });
  }
});
