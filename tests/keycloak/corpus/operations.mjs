// What is tried: every operation that presets/keycloak.toml recognises.
//
// An operation is `{ name, route, kind, trigger, depth, plain, prepare, draft, follow, happened, identity }`. `prepare(ground, pass)` makes what one
// attempt is about, `draft(subject)` the request for it; `happened(attempts)` says, in a map, which of them had their effect; `identity(event, attempt)`
// whether an interceptor was told whom or what the upstream acted on. `abreast` is how many attempts are made at once. The kinds:
//   asked      a DENY means no effect, an effect means that it was asked about
//   closed     never has its effect
//   mapped     a token of ours is mapped back: an answer of success means that it had its effect
//   published  what is published has no key of the upstream's own

import { front } from './operations/front.mjs';
import { invitations } from './operations/invitations.mjs';
import { others } from './operations/others.mjs';
import { clients } from './operations/clients.mjs';
import { signups } from './operations/signups.mjs';
import { grants } from './operations/grants.mjs';

export const operations = [...grants, ...front, ...signups, ...invitations, ...clients, ...others];
