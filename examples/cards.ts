import { MemoryReaders, type Pcsc, Pcscd } from "cryptoki/pcsc";
import { VirtualPivCard } from "cryptoki/virtual";

/** The card readers of this machine with `--pcscd`; without it a reader of this process with a virtual card in it. */
export async function openReaders(): Promise<Pcsc> {
  if (process.argv.includes("--pcscd")) return new Pcscd();
  const readers = new MemoryReaders();
  readers.plug("Virtual Reader");
  readers.insert("Virtual Reader", await VirtualPivCard.create());
  return readers.client();
}

/** From the environment; a new virtual card has this one. */
export const pin = new TextEncoder().encode(process.env["CRYPTOKI_PIN"] ?? "123456");
