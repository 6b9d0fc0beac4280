import type { Command } from "commander";
import { parsePinSource, type Secret } from "./pin.ts";

/** How the PIN that is to be set is given. */
export const NEW_PIN = { option: "--new-pin-source", variable: "CRYPTOKI_NEW_PIN" } as const;
/** How the PUK is given. */
export const PUK = { option: "--puk-source", variable: "CRYPTOKI_PUK" } as const;

export interface NewPinOptions {
  readonly newPinSource?: string;
}

export function newPinOption(command: Command): Command {
  const meaning = `where the new PIN comes from, as --pin-source; default: ${NEW_PIN.variable}, or a prompt`;
  return command.option("--new-pin-source <source>", meaning);
}

/** A secret, given by its option's value if there is one. */
export function secret(way: Pick<Secret, "option" | "variable">, question: string, source: string | undefined): Secret {
  return { ...way, question, source: source === undefined ? undefined : parsePinSource(source) };
}
