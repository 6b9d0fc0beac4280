import type { MakeName } from "./contents.ts";
import { ISO_APPLET, ISO_APPLET_1 } from "./iso-applet/make.ts";
import type { Make } from "./make.ts";
import { MYEID } from "./myeid/make.ts";

export const MAKES: Readonly<Record<MakeName, Make>> = {
  myeid: MYEID,
  "iso-applet": ISO_APPLET,
  "iso-applet-1": ISO_APPLET_1,
};
export const MAKE_NAMES = Object.keys(MAKES) as MakeName[];
