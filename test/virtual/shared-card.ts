import { randomBytes } from "node:crypto";
import { concat, equalBytes, fromHex, toHex } from "../../src/bytes/index.ts";
import type { VirtualCard } from "../../src/virtual/index.ts";

/** Another application on the card. */
export interface Neighbour {
  readonly aid: Uint8Array;
  /** Its selection makes the card forget the PINs of the first application, as it does on many cards. */
  readonly dropsLogin: boolean;
}

export const NEIGHBOUR: Neighbour = { aid: fromHex("d27600012401"), dropsLogin: false };
export const DROPPING_NEIGHBOUR: Neighbour = { aid: fromHex("a0000006472f0001"), dropsLogin: true };
const NEIGHBOURS = [NEIGHBOUR, DROPPING_NEIGHBOUR];

const INS = {
  VERIFY: 0x20,
  CHANGE_REFERENCE_DATA: 0x24,
  RESET_RETRY_COUNTER: 0x2c,
  PERFORM_SECURITY_OPERATION: 0x2a,
  PRIVATE_SIGN_DECRYPT: 0x42,
  GENERAL_AUTHENTICATE: 0x87,
  SELECT: 0xa4,
  READ_BINARY: 0xb0,
} as const;
const BY_NAME = 0x04;
/** P1 of PRIVATE SIGN/DECRYPT (GSC-IS 2.1 section 5.3.5.3). */
const MORE_PARTS = 0x80;
const PIN_COMMANDS: readonly number[] = [INS.VERIFY, INS.CHANGE_REFERENCE_DATA, INS.RESET_RETRY_COUNTER];

/** A command with a PIN in it that reached the card. */
export interface PinCommand {
  /** "own", or the identifier of the neighbour that got it. */
  readonly application: string;
  readonly command: string;
  readonly status: string;
}

/**
 * A card with two more applications on it, which answer as if they were the wanted one wherever a driver could be taken in: reading
 * gives bytes, signing and deciphering give results of other keys. Keeps who got which PIN.
 */
export class SharedCard implements VirtualCard {
  readonly pinCommands: PinCommand[] = [];
  /** Commands that came so far. */
  received = 0;
  /** Called before each command is answered; the card waits for what it returns. */
  onCommand: ((command: Uint8Array) => Promise<void> | void) | undefined;
  readonly #card: VirtualCard;
  #selected: Neighbour | undefined;

  constructor(card: VirtualCard) {
    this.#card = card;
  }

  get atr(): Uint8Array {
    return this.#card.atr;
  }

  reset(): void {
    this.#selected = undefined;
    this.#card.reset();
  }

  async transmit(command: Uint8Array): Promise<Uint8Array> {
    this.received++;
    await this.onCommand?.(command);
    const application = this.#selected;
    const answer =
      (await this.#select(command)) ?? (application ? foreign(command) : await this.#card.transmit(command));
    if (PIN_COMMANDS.includes(command[1] ?? 0) && command.length > 5) {
      const status = toHex(answer.subarray(-2));
      this.pinCommands.push({
        application: application ? toHex(application.aid) : "own",
        command: toHex(command.subarray(0, 4)),
        status,
      });
    }
    return answer;
  }

  /** The answer to a SELECT by name that changes the application; undefined for everything else. */
  async #select(command: Uint8Array): Promise<Uint8Array | undefined> {
    if (command[1] !== INS.SELECT || command[2] !== BY_NAME) return undefined;
    const name = command.subarray(5, 5 + (command[4] ?? 0));
    const neighbour = NEIGHBOURS.find(({ aid }) => equalBytes(aid, name));
    if (neighbour) {
      this.#selected = neighbour;
      // All that these cards keep until the next reset is what a selection may drop.
      if (neighbour.dropsLogin) this.#card.reset();
      return fromHex("9000");
    }
    const answer = await this.#card.transmit(command);
    const status = answer.at(-2);
    if (status === 0x90 || status === 0x61) this.#selected = undefined;
    return answer;
  }
}

/** What the other applications answer. */
function foreign([, ins, p1]: Uint8Array): Uint8Array {
  switch (ins) {
    case INS.READ_BINARY:
      return success(new Uint8Array(64).fill(0xaa));
    case INS.PERFORM_SECURITY_OPERATION:
      return success(randomBytes(256));
    case INS.PRIVATE_SIGN_DECRYPT:
      return success(p1 === MORE_PARTS ? new Uint8Array() : randomBytes(256));
    case INS.GENERAL_AUTHENTICATE:
      return success(concat(fromHex("7c228220"), randomBytes(32)));
    case INS.SELECT:
      return fromHex("6a82");
    case INS.VERIFY:
      return fromHex("63c2");
    default:
      return fromHex("6d00");
  }
}

const success = (data: Uint8Array): Uint8Array => concat(data, fromHex("9000"));
