import { MemoryReaders, type Pcsc, Pcscd } from "cryptoki/pcsc";
import { VirtualPivCard } from "cryptoki/virtual";

const isReal = process.argv.includes("--pcscd");

/** The card readers of this machine with `--pcscd`; without it a reader of this process with a virtual card in it. */
export async function openReaders(): Promise<Pcsc> {
  if (isReal) return new Pcscd();
  const readers = new MemoryReaders();
  readers.plug("Virtual Reader");
  readers.insert("Virtual Reader", await VirtualPivCard.create());
  return readers.client();
}

/** From the environment; a new virtual card has the PIN 123456. A real card gets no PIN that its holder did not give. */
export function readPin(): Uint8Array {
  const pin = process.env["CRYPTOKI_PIN"] ?? (isReal ? undefined : "123456");
  if (pin === undefined) throw new Error("the card's PIN is missing: set CRYPTOKI_PIN");
  return new TextEncoder().encode(pin);
}

/** What the examples say if they find no card. C_GetSlotList gives an empty list also where no pcscd runs. */
export const NO_CARD = "no card was found; npx cryptoki tokens says why";
