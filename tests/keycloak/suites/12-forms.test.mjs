// What Tollgate reads in a form is what Keycloak reads in it. Bodies at random go to both: to Keycloak alone, which shows what it has read in the form that
// it gives back, and through Tollgate, whose interceptor is told what it has read. FORMS_SEED and FORMS_CASES make other bodies and more of them.

import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';

import { uglyForm } from '../lib/ugly-forms.mjs';
import { Visitor, firstForm, readFields } from '../lib/visitor.mjs';
import { World, interceptors } from '../lib/world.mjs';

const seed = Number(process.env.FORMS_SEED ?? 20_261_125);
const cases = Number(process.env.FORMS_CASES ?? 300);
const names = ['username', 'email', 'firstName', 'lastName'];

let world;
before(async () => {
  world = await World.open('12-forms', { interceptors: () => [interceptors.signup] });
});
after(() => world.close());

/** One door to Keycloak, with a registration form open behind it. */
class Door {
  constructor(origin) {
    this.visitor = new Visitor(origin, world.canaries);
  }

  async open() {
    this.page ??= await this.visitor.registrationForm('web', world.redirect);
  }

  /** Posts a body to the form: the answer, and the fields of the form that came back, if one did. */
  async post({ type, body, query }) {
    await this.open();
    const target = `${this.page.path}?${this.page.query}${query}`;
    const answer = await this.visitor.send({ method: 'POST', target, headers: { 'Content-Type': type }, body, deadline: 20_000 });
    const shown = answer.status === 200 ? readFields(answer.text, names) : undefined;
    this.page = shown && firstForm(answer.text);
    return { status: answer.status, shown, text: answer.text };
  }
}

/** What Keycloak has read, as it acts on it: the form shows spaces around an address, account and mail have it without. */
const meant = (shown) => shown && { ...shown, email: shown.email.trim() };

/** What the interceptor was told, in the words of the form. */
function told(event) {
  const { username = '', email = '', given_name: firstName = '', family_name: lastName = '' } = event.data.user ?? {};
  return { username, email, firstName, lastName };
}

describe('forms', () => {
  test(`${cases} bodies from seed ${seed} are refused or read as Keycloak reads them`, async (t) => {
    const direct = new Door(world.keycloak.url);
    const front = new Door(world.origin);
    const count = new Map();
    const note = ({ kind }, what) => count.set(`${kind} ${what}`, (count.get(`${kind} ${what}`) ?? 0) + 1);
    for (let number = seed; number < seed + cases; number += 1) {
      const sent = uglyForm(number);
      const explain = () => `\nFORMS_SEED=${number} FORMS_CASES=1\nContent-Type: ${sent.type}\nquery: ${sent.query}\n${JSON.stringify(sent.body.toString('latin1'))}\n`;
      const alone = await direct.post(sent);
      const events = world.hooks.events('PRE_SIGNUP').length;
      await front.open();
      const { page } = front;
      const exchanges = world.hop.exchanges.length;
      const through = await front.post(sent);
      const reached = world.hop.exchanges.slice(exchanges).some(({ method }) => method === 'POST');
      const asked = world.hooks.events('PRE_SIGNUP').slice(events);
      assert.ok(alone.status !== 302 && through.status !== 302, `somebody registered:${explain()}`);
      if (!reached) {
        assert.ok(through.status >= 400 && through.status < 500, `${through.status} without asking Keycloak:${explain()}${through.text}`);
        assert.equal(asked.length, 0, `asked about what was refused:${explain()}`);
        // Keycloak has not seen it, so its form is still good.
        front.page = page;
        note(sent, alone.shown ? 'refused by Tollgate alone' : 'refused by both');
        continue;
      }
      assert.equal(asked.length, 1, `Keycloak was reached with ${asked.length} questions:${explain()}`);
      assert.deepEqual(meant(through.shown), told(asked[0]), `Keycloak behind Tollgate read something else than the interceptor was told:${explain()}`);
      if (alone.shown) assert.deepEqual(told(asked[0]), meant(alone.shown), `Keycloak alone read something else:${explain()}`);
      note(sent, alone.shown ? 'alike' : 'made readable by Tollgate');
    }
    t.diagnostic([...count].sort().map(([what, times]) => `${what}: ${times}`).join(', '));
    // A suite in which everything is refused would prove nothing.
    for (const kind of ['urlencoded', 'multipart']) assert.ok(cases < 100 || count.get(`${kind} alike`) >= cases / 20, `too few ${kind}`);
  });
});
