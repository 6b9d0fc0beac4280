/** Serves a virtual card that answers at once over p11-kit's protocol, at the socket named by the argument, until its parent lets go of it. */
import { Cryptoki, MemoryReaders, profiles } from "../src/index.ts";
import { P11KitServer } from "../src/p11kit/index.ts";
import { CardFactory } from "./cards.ts";
import { PrecomputedCard } from "./precomputed-card.ts";

const [socket = ""] = process.argv.slice(2);
const readers = new MemoryReaders();
readers.plug("Reader");
readers.insert("Reader", new PrecomputedCard(await new CardFactory().make("short", false)));
const pcsc = readers.client();
const { slots } = new Cryptoki({ pcsc, profiles });
const server = await P11KitServer.listen(socket, { application: () => new Cryptoki({ slots }) });
process.once("disconnect", () => {
  void server[Symbol.asyncDispose]().then(() => pcsc.close());
});
process.send?.("listening");
