import { testSeededTenth } from "./tenth.ts";

testSeededTenth("pkcs15");
