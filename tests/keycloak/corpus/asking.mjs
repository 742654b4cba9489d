// The interceptors of the corpus: one for every trigger, which deny the attempts that say so and allow all else.

import { allow, deny } from '../lib/hooks.mjs';
import { World, interceptors } from '../lib/world.mjs';
import { denied } from './trial.mjs';

export const asking = [...Object.values(interceptors), { name: 'Registration', trigger: 'PRE_CLIENT_REGISTRATION' }];

/** A world for the corpus. The net below recognition is off: recognition alone has to hold. */
export async function openWorld(suite) {
  const world = await World.open(suite, { interceptors: () => asking, recorded: false, sections: { upstream: { egress: 'off' } } });
  for (const { name } of asking) world.hooks.decide(name, (event) => (event.interceptor_context.user_agent?.startsWith(denied) ? deny('Not this one.') : allow()));
  return world;
}
