import { equalBytes, fromHex, toHex } from "../../src/bytes/index.ts";
import { Card, type CardApplication, type CardPrivateKey, type CardToken } from "../../src/card/index.ts";
import { type InProcessCard, MemoryReaders, type Pcsc } from "../../src/pcsc/index.ts";
import { piv } from "../../src/piv/index.ts";

export const READER = "Memory Reader";

/** A card in a reader of this process, with a log of what crossed the wire, and hooks to disturb it. */
export interface Bench {
  readonly readers: MemoryReaders;
  readonly pcsc: Pcsc;
  /** Commands since the card was inserted, hexadecimal. */
  readonly commands: string[];
  /** Runs before each command reaches the card. */
  before: ((command: Uint8Array) => Promise<void> | void) | undefined;
}

export function bench(card: InProcessCard): Bench {
  const readers = new MemoryReaders();
  const state: Bench = { readers, pcsc: readers.client({ patience: 200 }), commands: [], before: undefined };
  readers.plug(READER);
  readers.insert(READER, {
    atr: card.atr,
    reset: () => {
      card.reset();
    },
    transmit: async (command) => {
      state.commands.push(toHex(command));
      await state.before?.(command);
      return card.transmit(command);
    },
  });
  return state;
}

/** The PIV application on the card of `rig`. */
export async function claim(rig: Bench): Promise<{ card: Card; application: CardApplication; token: CardToken }> {
  const card = new Card(await rig.pcsc.connect(READER));
  const application = await piv.claim(card, "thorough");
  const token = application?.tokens[0];
  if (!application || !token) throw new Error("no PIV application on the card");
  return { card, application, token };
}

/** The private key with this CKA_ID. */
export async function privateKey(token: CardToken, id: number): Promise<CardPrivateKey> {
  for (const object of await token.objects()) if (object.class === "private-key" && object.id[0] === id) return object;
  throw new Error(`no private key ${id}`);
}

/** Selects the other application of {@link withAnotherApplication}. */
export const SELECT_OTHER = fromHex("00a4040006d27600012401");

/** A card that holds another application besides: it knows no command of PIV, but has a PIN of its own under the same reference. */
export function withAnotherApplication(card: InProcessCard): InProcessCard {
  let other = false;
  return {
    atr: card.atr,
    reset: () => {
      other = false;
      card.reset();
    },
    transmit: (command) => {
      if (command[1] === 0xa4) other = equalBytes(command, SELECT_OTHER);
      if (!other) return card.transmit(command);
      if (command[1] === 0xa4) return Promise.resolve(fromHex("9000"));
      return Promise.resolve(fromHex(command[1] === 0x20 ? "63c1" : "6d00"));
    },
  };
}
