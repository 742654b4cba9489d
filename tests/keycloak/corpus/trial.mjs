// Tries every variant of an operation three times: at the upstream directly, through Tollgate when the interceptors deny, and when they allow.
//
// Whether a variant did something is never told by its status: the answer has a token in it, or the upstream is asked afterwards what is there.

import { send } from '../lib/wire.mjs';
import { wire } from './draft.mjs';
import { sendFrame } from './h2.mjs';
import { tokensIn } from './tokens.mjs';
import { variants } from './variants.mjs';

/** So many requests are under way at once. */
const ABREAST = 8;

const asSent = 'as clients send it';

/** Every attempt has a `User-Agent` of its own, by which the events are told apart; with this in it the interceptors deny. */
export const denied = 'attempt-deny';

/**
 * Tries an operation: `{ name, route, kind, … }`, see operations.mjs.
 * @param only takes from all attempts those to make: `plain` or all
 * @returns counts, and lists of sentences: `slips`; `unserved`, plain variants that do not work; `idle`, where it came to nothing although nobody was
 *   asked and nothing refused; `strict`, what only the upstream serves
 */
export async function tryOut(ground, operation, { only } = {}) {
  const started = performance.now();
  const at = { direct: place(ground.keycloak.url), tollgate: place(ground.via) };
  const sample = await operation.draft(await operation.prepare(ground, 'direct'), ground, 'direct');
  const plain = Object.entries({ [asSent]: (draft) => draft, ...operation.plain }).map(([name, spell]) => ({ dimension: 'plain', name, spell, plain: true }));
  const spellings = only === 'plain' ? plain : [...plain, ...pick(variants(sample, at.tollgate, operation.depth), operation.depth?.limit)];

  const run = async (pass, list) => {
    const attempts = list.map((spelling) => ({ spelling, pass }));
    const via = pass === 'direct' ? at.direct : at.tollgate;
    await eachOf(attempts, async (attempt) => {
      attempt.subject = await operation.prepare(ground, pass);
      attempt.label = `attempt-${pass}-${ground.word('a')}`;
      const draft = attempt.spelling.spell(await operation.draft(attempt.subject, ground, pass), via);
      if (!draft) throw new Error(`\`${attempt.spelling.name}\` applies to ${operation.name} no more`);
      attempt.answer = await answerTo(via, { ...draft, headers: [...(draft.headers ?? []), ['User-Agent', attempt.label]] });
      await operation.follow?.(attempt, ground, via);
    }, operation.abreast);
    const done = await operation.happened(attempts, ground);
    for (const attempt of attempts) {
      attempt.events = ground.world.hooks.calls.map(({ event }) => event).filter((event) => event?.interceptor_context.user_agent === attempt.label);
      attempt.effect = done.get(attempt);
      attempt.native = pass !== 'direct' && tokensIn(attempt.answer).some(({ kid }) => !ground.ours.has(kid));
    }
    return attempts;
  };

  const overHttp1 = spellings.filter(({ dimension }) => dimension !== 'HTTP/2');
  const direct = await run('direct', overHttp1);
  const asked = operation.kind === 'asked';
  const deny = asked ? await run('deny', spellings) : [];
  const worth = new Set([...direct, ...deny].filter(({ effect, events }) => effect || events.length).map(({ spelling }) => spelling));
  const allow = await run('allow', asked ? spellings.filter((spelling) => spelling.plain || worth.has(spelling)) : spellings);

  const of = (list, spelling) => list.find((attempt) => attempt.spelling === spelling);
  const result = { name: operation.name, route: operation.route, variants: spellings.length, did: direct.filter(({ effect }) => effect).length, consulted: 0, refused: 0, slips: [], unserved: [], idle: [], strict: [] };
  for (const spelling of spellings) {
    const [there, no, yes] = [of(direct, spelling), of(deny, spelling), of(allow, spelling)];
    const slip = wrong(operation, there, no, yes, ground);
    if (slip) result.slips.push(`${operation.name}, ${spelling.name}: ${slip}`);
    const judged = no ?? yes;
    if (judged.events.length) result.consulted += 1;
    else if (judged.answer.status >= 400) result.refused += 1;
    else if (there?.effect && !['mapped', 'published'].includes(operation.kind)) result.idle.push(`${operation.name}, ${spelling.name}: ${judged.answer.status}`);
    if (spelling.plain && !served(operation, spelling, there, yes)) result.unserved.push(`${operation.name}, ${spelling.name}: ${there?.effect ? '' : `directly ${there?.answer.status} ${there?.answer.text.slice(0, 200)}; `}${yes.answer.status} ${yes.answer.text.slice(0, 200)}`);
    if (!spelling.plain && there?.effect && asked && !yes?.effect) result.strict.push(`${spelling.name}: ${yes?.answer.status}`);
  }
  return { ...result, seconds: (performance.now() - started) / 1000 };
}

/** What is wrong with how a variant fared, if something is. */
function wrong(operation, there, no, yes, ground) {
  for (const attempt of [no, yes]) if (attempt?.native) return 'a token of the upstream\'s own came out';
  if (operation.kind === 'closed') return yes.effect && 'it had its effect';
  if (operation.kind === 'published') return (operation.leaks(yes.answer, ground) && 'keys of the upstream\'s own came out') || undefined;
  if (operation.kind === 'mapped') return there?.effect && !yes.effect && yes.answer.status < 300 && 'it was answered as if it had an effect, and had none';
  if (no.effect) return 'denied, and it had its effect';
  if (!yes?.effect) return undefined;
  const event = yes.events.find(({ trigger_point: trigger }) => trigger === operation.trigger);
  if (!event) return 'it had its effect, and nobody was asked';
  return !operation.identity(event, yes, ground) && `another identity was told than the upstream took: ${JSON.stringify(event.data)}`;
}

/** Whether a plain variant fared as its client expects. The upstream has to serve the plainest one itself, or nothing was tried. */
function served(operation, spelling, there, yes) {
  if (spelling.name === asSent && !there.effect && operation.kind !== 'published') return false;
  if (operation.kind === 'closed') return yes.answer.status >= 400;
  if (operation.kind === 'asked' && !yes.events.some(({ trigger_point: trigger }) => trigger === operation.trigger)) return false;
  return Boolean(yes.effect);
}

/** An answer, or what stands for it where the connection was cut off. */
async function answerTo({ origin }, draft) {
  try {
    if (draft.frame) return await sendFrame(origin, draft);
    return await send(origin, { ...wire(draft), whole: draft.behind !== undefined });
  } catch (error) {
    return { status: 499, headers: [], text: `cut off: ${error.message}`, all: () => [], header: () => undefined };
  }
}

const place = (origin) => ({ origin, host: new URL(origin).host });
const pick = (list, limit = Infinity) => (list.length <= limit ? list : Array.from({ length: limit }, (_, i) => list[Math.floor((i * list.length) / limit)]));

/** Works on a list, several at once. */
export async function eachOf(list, work, abreast = ABREAST) {
  const rest = list.values();
  await Promise.all(Array.from({ length: abreast }, async () => {
    for (const item of rest) await work(item);
  }));
}
