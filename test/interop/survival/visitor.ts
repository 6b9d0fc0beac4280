import { fromHex } from "../../../src/bytes/index.ts";
import { type CardConnection, Pcscd, PcscError, SCARD_DISPOSITION } from "../../../src/pcsc/index.ts";

/** What a visitor does at the card. */
export interface Act {
  readonly name: string;
  /** Commands, hexadecimal, in one transaction. */
  readonly commands: readonly string[];
  /** The visitor resets the card when it leaves. */
  readonly resets?: boolean;
  /** The card may have forgotten its PINs afterwards. */
  readonly dropsLogin?: boolean;
}

/** Another program, as far as pcscd can tell: each visit is a connection of its own, which ends with it. */
export class Visitor implements AsyncDisposable {
  readonly #pcsc = new Pcscd({ patience: 600_000 });
  readonly #reader: string;

  constructor(reader: string) {
    this.#reader = reader;
  }

  /** Connects, acts, and leaves at once. */
  async visit({ commands, resets = false }: Act): Promise<void> {
    const connection = await this.#pcsc.connect(this.#reader);
    try {
      if (commands.length > 0) await afterReset(connection, () => inTransaction(connection, commands));
    } finally {
      await connection.disconnect(resets ? SCARD_DISPOSITION.RESET_CARD : SCARD_DISPOSITION.LEAVE_CARD);
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#pcsc.close();
  }
}

/** Resets that one visit may meet: those of another visitor, and of a logout on a card that forgets a PIN in no other way. */
const MOST_RESETS = 5;

/** A card that was reset between two calls of a visit is taken up, and the visit begins again. */
async function afterReset(connection: CardConnection, act: () => Promise<void>): Promise<void> {
  for (let resets = 0; ; resets++) {
    try {
      await act();
      return;
    } catch (error) {
      if (!(error instanceof PcscError && error.codeName === "SCARD_W_RESET_CARD") || resets === MOST_RESETS)
        throw error;
      await connection.reconnect();
    }
  }
}

async function inTransaction(connection: CardConnection, commands: readonly string[]): Promise<void> {
  await connection.begin();
  for (const command of commands) await connection.transmit(fromHex(command));
  await connection.end();
}
