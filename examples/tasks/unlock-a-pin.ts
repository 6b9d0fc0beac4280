/** Sets a blocked PIN with the PUK. */
import { openTokens } from "cryptoki";
import { askForNewPin, askForPuk } from "./ask-for-pin.ts";

await using cards = await openTokens({});
const token = await cards.token();
await token.unblockPin({ puk: askForPuk(), new: askForNewPin() });
console.log((await token.pinState()).status);
