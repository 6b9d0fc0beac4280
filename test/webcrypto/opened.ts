import { expect } from "@jest/globals";
import type { CardProfile } from "../../src/card/index.ts";
import type { InProcessCard } from "../../src/pcsc/index.ts";
import { type PinRequest, TokenCrypto, type TokenCryptoOptions } from "../../src/webcrypto/index.ts";
import { PIN, rig, type Rig } from "../cryptoki/rig.ts";

/** A token's WebCrypto over a card in a reader of this process, and what it asked PINs for. */
export class Opened implements AsyncDisposable {
  readonly rig: Rig;
  readonly crypto: TokenCrypto;
  readonly asked: PinRequest[];

  constructor(made: Rig, crypto: TokenCrypto, asked: PinRequest[]) {
    this.rig = made;
    this.crypto = crypto;
    this.asked = asked;
  }

  get purposes(): string[] {
    return this.asked.map(({ purpose }) => purpose);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.crypto[Symbol.asyncDispose]();
    await this.rig[Symbol.asyncDispose]();
  }
}

interface OpenedOptions extends Omit<TokenCryptoOptions, "cryptoki"> {
  readonly profiles?: readonly CardProfile[];
  /** What the PIN callback gives. */
  readonly answer?: string;
}

export async function opened(card: InProcessCard, options: OpenedOptions = {}): Promise<Opened> {
  const { profiles, answer = PIN, ...others } = options;
  const made = await rig(card, profiles);
  const asked: PinRequest[] = [];
  const pin = (request: PinRequest): string => {
    asked.push(request);
    return answer;
  };
  return new Opened(made, await TokenCrypto.open({ cryptoki: made.cryptoki, pin, ...others }), asked);
}

/** For `rejects.toMatchObject`: a DOMException of the W3C's, with what the token answered as its cause. */
export function exception(name: string, cause?: string): object {
  return {
    code: expect.any(Number),
    name,
    ...(cause !== undefined && { cause: { code: `CKR_${cause}` } }),
  };
}

export const id = (byte: number): Uint8Array => Uint8Array.of(byte);
