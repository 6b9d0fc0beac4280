import { testSeededTenth } from "./tenth.ts";

testSeededTenth("piv", "iso-applet", "smartcard-hsm", "cac");
