// The corpus: every recognised operation in every spelling, at the upstream itself and through Tollgate. Nothing goes around.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';

import { openWorld } from '../corpus/asking.mjs';
import { Ground } from '../corpus/ground.mjs';
import { operations } from '../corpus/operations.mjs';
import { tryOut } from '../corpus/trial.mjs';

const LEAST = 2000;
const results = [];

let world;
let ground;
before(async () => {
  world = await openWorld('corpus');
  ground = await Ground.open(world);
});
after(async () => {
  ground?.close();
  await world?.close();
});

const chosen = operations.filter(({ name }) => new RegExp(process.env.CORPUS ?? '').test(name));
for (const operation of chosen) {
  test(operation.name, async (t) => {
    const result = await tryOut(ground, operation);
    results.push(result);
    const { variants, did, consulted, refused, slips, unserved, idle, strict, seconds } = result;
    t.diagnostic(`${variants} variants: ${did} had their effect directly; ${consulted} consulted, ${refused} refused, ${slips.length} slipped; ${seconds.toFixed(1)} s`);
    if (process.env.CORPUS_VERBOSE) t.diagnostic(`stricter than the upstream: ${strict.join(' | ')}`);
    assert.deepEqual(slips, []);
    assert.deepEqual(unserved, []);
    assert.deepEqual(idle, []);
  });
}

test('the corpus is as large as is claimed', (t) => {
  const sum = (of) => results.reduce((all, result) => all + of(result), 0);
  const line = (cells) => `${String(cells[0]).padEnd(64)}${cells.slice(1).map((cell) => String(cell).padStart(11)).join('')}`;
  const rows = [...results, { name: 'all', variants: sum((r) => r.variants), did: sum((r) => r.did), consulted: sum((r) => r.consulted), refused: sum((r) => r.refused), slips: results.flatMap((r) => r.slips), seconds: sum((r) => r.seconds) }];
  t.diagnostic(line(['operation', 'variants', 'effective', 'consulted', 'refused', 'slipped', 's']));
  for (const { name, variants, did, consulted, refused, slips, seconds } of rows) t.diagnostic(line([name, variants, did, consulted, refused, slips.length, seconds.toFixed(1)]));
  assert.ok(process.env.CORPUS || rows.at(-1).variants >= LEAST, `${rows.at(-1).variants} variants`);
  assert.deepEqual(world.hooks.forged, []);
});
