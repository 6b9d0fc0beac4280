import type { Environment } from "./environment.ts";
import { NEW_PIN, PUK } from "./new-pin.ts";
import { SO_PIN } from "./officer.ts";
import { PIN } from "./pin.ts";

const SECRETS: readonly string[] = [PIN, NEW_PIN, PUK, SO_PIN].map(({ variable }) => variable);

/**
 * A copy of the environment for this program. PINs and PUKs are taken out of `env` itself, also those whose variables `args` name
 * (`--pin-source env:NAME`), so that no program that is started from here gets them.
 */
export function takeSecrets(env: NodeJS.ProcessEnv, args: readonly string[]): Environment["env"] {
  const copy = { ...env };
  // As an option's value, after "=", or as pin-source of a URI.
  const named = args.flatMap((arg) => /(?:^|=)env(?::|%3a)(.+)$/iu.exec(arg)?.[1]?.split("&")[0] ?? []);
  for (const name of [...SECRETS, ...named]) Reflect.deleteProperty(env, name);
  return copy;
}
