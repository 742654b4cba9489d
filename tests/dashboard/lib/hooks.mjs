// The operator's side: one endpoint for all triggers, which answers as it was told.

import { once } from 'node:events';
import http from 'node:http';

/** JSON with this status; `{ headers }` go with it. */
export const answer = (body, status = 200, headers = {}) => ({ body: typeof body === 'string' ? body : JSON.stringify(body), status, headers });
export const allow = (response = {}) => answer({ decision: 'ALLOW', response });
export const deny = (message, more = {}) => answer({ decision: 'DENY', error: { message }, ...more });

export class Hooks {
  /** Every event that came. */
  events = [];
  #choices = new Map();

  static async open() {
    const hooks = new Hooks();
    hooks.server = http.createServer((request, response) => hooks.#serve(request, response));
    hooks.server.listen(0, '127.0.0.1');
    await once(hooks.server, 'listening');
    hooks.url = `http://127.0.0.1:${hooks.server.address().port}`;
    return hooks;
  }

  /** From now on the trigger is answered by what `choose` makes of the event. */
  decide(trigger, choose) {
    this.#choices.set(trigger, choose);
  }

  async #serve(request, response) {
    const event = JSON.parse(Buffer.concat(await request.toArray()).toString('utf8'));
    this.events.push(event);
    const { status, headers, body } = this.#choices.get(event.trigger_point)?.(event) ?? allow();
    response.writeHead(status, { 'content-type': 'application/json', ...headers }).end(body);
  }

  close() {
    this.server.closeAllConnections();
    this.server.close();
  }
}
