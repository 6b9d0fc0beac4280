/** A card that answers at once, in a process of its own so that it takes no time of the one that measures. */
import { insertCard } from "../test/interop/rig/vpicc.ts";

const ANSWER = Uint8Array.of(0x90, 0x00);
const card = await insertCard({ port: Number(process.argv[2]), answer: () => ANSWER });
process.once("disconnect", () => void card.remove());
