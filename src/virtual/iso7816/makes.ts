import type { MakeName } from "./contents.ts";
import { ISO_APPLET } from "./iso-applet/make.ts";
import type { Make } from "./make.ts";
import { MYEID } from "./myeid/make.ts";

export const MAKES: Readonly<Record<MakeName, Make>> = { myeid: MYEID, "iso-applet": ISO_APPLET };
export const MAKE_NAMES = Object.keys(MAKES) as MakeName[];
