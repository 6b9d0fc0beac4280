import { equalBytes, fromHex } from "../../bytes/index.ts";
import type { CommandContext } from "../context.ts";
import { referenceOf } from "./key-place.ts";
import type { Token } from "./token.ts";

/** The management key with which new cards of many makers come, among them YubiKeys up to firmware 5.6 (and 5.7: the same bytes as AES-192). */
const WELL_KNOWN_KEY = "010203040506070801020304050607080102030405060708";

/** The PIN and the PUK that new YubiKeys have. */
export const FACTORY_PIN = "123456";
export const FACTORY_PUK = "12345678";

export const isFactoryPin = (typed: Uint8Array): boolean => equalBytes(typed, Buffer.from(FACTORY_PIN));
export const isFactoryPuk = (typed: Uint8Array): boolean => equalBytes(typed, Buffer.from(FACTORY_PUK));

/** Whether what was typed is that key: as digits, or as bytes. */
export function isWellKnownKey(typed: Uint8Array): boolean {
  return equalBytes(typed, Buffer.from(WELL_KNOWN_KEY)) || equalBytes(typed, fromHex(WELL_KNOWN_KEY));
}

/** Says on standard error that everybody knows the management key that was given. */
export function warnOfKnownKey(context: CommandContext, typed: Uint8Array): void {
  if (isWellKnownKey(typed)) {
    warn(context, "the management key is the one that every new card has; set another one with: cryptoki so change");
  }
}

/** Says on standard error that everybody knows the user's PIN that was given. */
export function warnOfFactoryPin(context: CommandContext, typed: Uint8Array): void {
  if (isFactoryPin(typed)) {
    warn(context, "the PIN is the one that every new card has; set another one with: cryptoki pin change");
  }
}

/**
 * Says on standard error that a new secret protects little: every new card has it, or everybody guesses it.
 * @param isFactory Whether new cards of this kind have it.
 */
export async function warnOfNewSecret(
  context: CommandContext,
  name: "PIN" | "PUK",
  typed: Uint8Array,
  isFactory: boolean,
): Promise<void> {
  const { isWeak } = await import("../../setup/index.ts");
  if (isFactory) warn(context, `the new ${name} is the one that every new card has`);
  else if (isWeak(typed)) warn(context, `the new ${name} is one that everybody guesses; choose another`);
}

/** As {@link warnOfNewSecret}, of a user's PIN. */
export function warnOfNewPin(context: CommandContext, token: Token, typed: Uint8Array): Promise<void> {
  const isPiv = referenceOf(token, Uint8Array.of(1)) !== undefined;
  return warnOfNewSecret(context, "PIN", typed, isPiv && isFactoryPin(typed));
}

/** A warning on standard error, as JSON with --json. */
export function warn(context: CommandContext, message: string): void {
  context.warn(message);
}
