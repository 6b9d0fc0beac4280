import { nearestTo } from "../../bytes/index.ts";
import { type NamedCommand, namedCommands } from "./explain.ts";

/** The command of a name, or names that are like it. */
export type CommandSearch = { readonly found: NamedCommand } | { readonly candidates: readonly string[] };

/** Finds a command by the name that `explainCommand` gives it: in any case, with spaces or hyphens. */
export function findCommandNamed(name: string): CommandSearch {
  const wanted = plain(name);
  const known = namedCommands();
  const found = known.find((one) => plain(one.name) === wanted);
  if (found) return { found };
  const nearest = nearestTo(
    wanted.toLowerCase(),
    known.map((one) => one.name.toLowerCase()),
  );
  return { candidates: [...new Set(nearest)].map((one) => one.toUpperCase()) };
}

const plain = (name: string): string => name.toUpperCase().replaceAll("-", " ");
