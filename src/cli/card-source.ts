import { MemoryReaders, openAddon, type Pcsc, Pcscd } from "../pcsc/index.ts";
import type { VirtualCard } from "../virtual/index.ts";
import type { Environment } from "./environment.ts";
import { DEFAULT_CARD, DEFAULT_PATIENCE, type GlobalOptions } from "./global-options.ts";
import { openVirtualCard } from "./virtual-card.ts";

/** The reader that --virtual plugs in. */
const VIRTUAL_READER = "Virtual Reader";

/** Opens the way to the card readers that the options name. */
export async function openPcsc(options: GlobalOptions, { env }: Environment): Promise<Pcsc> {
  const { virtual, transport } = options;
  const patience = 1000 * (options.patience ?? DEFAULT_PATIENCE);
  if (virtual !== undefined) return withCard(await openVirtualCard(virtual === true ? DEFAULT_CARD : virtual));
  if (transport === "pcscd") {
    const socket = env["PCSCLITE_CSOCK_NAME"];
    return new Pcscd({ patience, ...(socket && { socket }) });
  }
  return openAddon(undefined, { patience });
}

/** A reader of this process with a card in it. */
function withCard(card: VirtualCard): Pcsc {
  const readers = new MemoryReaders();
  readers.plug(VIRTUAL_READER);
  readers.insert(VIRTUAL_READER, card);
  return readers.client();
}
