// The operator's side: an endpoint as somebody would write it with Scalekit's SDK. It verifies every request with that SDK and with a second,
// independent library, keeps every event, and answers as it was told for each interceptor.

import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import http from 'node:http';

import { Scalekit } from '@scalekit-sdk/node';
import { Webhook } from 'standardwebhooks';

/** Scalekit's client. Only its verifier is used, which needs no account and talks to nobody. */
export const scalekit = new Scalekit('http://127.0.0.1:1', 'unused', 'unused');

/** An answer: the status and JSON of it. */
const answer = (status, body) => (request, response) => {
  response.writeHead(status, { 'content-type': 'application/json' });
  response.end(JSON.stringify(body));
};

export const allow = (response = {}) => answer(200, { decision: 'ALLOW', response });
export const deny = (message) => answer(200, { decision: 'DENY', error: { message } });

export class Hooks {
  /** Every request that came: `{ interceptor, event, headers, verified, at }`. */
  calls = [];
  /** What a verifier said against a request; empty when all is well. */
  forged = [];
  #behaviours = new Map();

  constructor() {
    this.secret = `whsec_${randomBytes(32).toString('base64')}`;
    this.webhook = new Webhook(this.secret);
  }

  static async open() {
    const hooks = new Hooks();
    hooks.server = http.createServer((request, response) => hooks.#serve(request, response));
    hooks.server.listen(0, '127.0.0.1');
    await once(hooks.server, 'listening');
    return hooks;
  }

  /** The URL of an interceptor's endpoint. */
  url(interceptor) {
    return `http://127.0.0.1:${this.server.address().port}/${encodeURIComponent(interceptor)}`;
  }

  /** From now on the interceptor answers so: `behaviour(request, response, call)`; a function of the event by `decide`. */
  answer(interceptor, behaviour) {
    this.#behaviours.set(interceptor, behaviour);
  }

  decide(interceptor, choose) {
    this.answer(interceptor, (request, response, call) => choose(call.event)(request, response, call));
  }

  /** The events of a trigger, optionally only those that `matches`. */
  events(trigger, matches = () => true) {
    return this.calls.map((call) => call.event).filter((event) => event?.trigger_point === trigger && matches(event));
  }

  /** What comes of `act`, and the triggers that are asked about while it runs. */
  async during(act) {
    const mark = this.calls.length;
    const outcome = await act();
    return { outcome, triggers: this.calls.slice(mark).map(({ event }) => event.trigger_point) };
  }

  #serve(request, response) {
    const chunks = [];
    request.on('data', (chunk) => chunks.push(chunk));
    request.on('error', () => response.destroy());
    request.on('end', () => {
      const body = Buffer.concat(chunks).toString('utf8');
      const interceptor = decodeURIComponent(request.url.slice(1));
      const call = { interceptor, headers: request.headers, body, at: Date.now() };
      this.calls.push(call);
      try {
        call.verified = scalekit.verifyInterceptorPayload(this.secret, request.headers, body);
        this.webhook.verify(body, request.headers);
        call.event = JSON.parse(body);
      } catch (error) {
        this.forged.push({ interceptor, error: String(error) });
        response.writeHead(401).end();
        return;
      }
      const behave = this.#behaviours.get(interceptor) ?? allow();
      behave(request, response, call);
    });
  }

  close() {
    this.server.closeAllConnections();
    this.server.close();
  }
}
