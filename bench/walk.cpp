/*
 * Does one piece of work with a PKCS#11 module, and nothing besides. After each step it prints a line and waits for one,
 * so that the program that started it can count the exchanges until then.
 *
 *   walk MODULE list
 *   walk MODULE objects
 *   walk MODULE attributes                        with a login, as sign
 *   walk MODULE read ID
 *   walk MODULE sign ID MECHANISM INPUT TIMES     the PIN is in $BENCH_PIN
 *   walk MODULE generate ID BITS                  the security officer's PIN is in $BENCH_SO_PIN
 *
 * ID and INPUT are hexadecimal, MECHANISM is the number of a CKM_. Lines: "done DETAIL" for each step, "refused CALL RV"
 * for the end. walk.ts does the same with this project's library.
 */
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <dlfcn.h>
#include <string>
#include <vector>

/* As much of PKCS#11 as is needed, for machines without its header; section numbers are of PKCS#11 3.1. */
typedef unsigned long Ulong;
typedef std::vector<unsigned char> Bytes;
struct Attribute { Ulong type; void *value; Ulong length; };   /* CK_ATTRIBUTE, 3.4 */
struct Mechanism { Ulong mechanism; void *parameter; Ulong length; }; /* CK_MECHANISM, 3.6 */

enum : Ulong {
  CKR_OK = 0, CKF_RW_SESSION = 2, CKF_SERIAL_SESSION = 4,
  CKU_SO = 0, CKU_USER = 1, CKU_CONTEXT_SPECIFIC = 2,
  CKO_CERTIFICATE = 1, CKO_PUBLIC_KEY = 2, CKO_PRIVATE_KEY = 3, CKO_SECRET_KEY = 4,
  CKA_CLASS = 0, CKA_TOKEN = 1, CKA_PRIVATE = 2, CKA_LABEL = 3, CKA_VALUE = 0x11, CKA_CERTIFICATE_TYPE = 0x80,
  CKA_SUBJECT = 0x101, CKA_KEY_TYPE = 0x100, CKA_ID = 0x102, CKA_ENCRYPT = 0x104, CKA_DECRYPT = 0x105, CKA_SIGN = 0x108,
  CKA_VERIFY = 0x10a, CKA_DERIVE = 0x10c, CKA_MODULUS = 0x120, CKA_MODULUS_BITS = 0x121, CKA_PUBLIC_EXPONENT = 0x122,
  CKA_EC_PARAMS = 0x180, CKA_EC_POINT = 0x181, CKA_ALWAYS_AUTHENTICATE = 0x202,
  CKM_RSA_PKCS_KEY_PAIR_GEN = 0,
};

static void *module;

template <typename... Parameters> static Ulong attempt(const char *name, Parameters... parameters) {
  auto function = reinterpret_cast<Ulong (*)(Parameters...)>(dlsym(module, name));
  if (!function) { std::printf("refused %s missing\n", name); std::exit(1); }
  return function(parameters...);
}

template <typename... Parameters> static void call(const char *name, Parameters... parameters) {
  Ulong rv = attempt(name, parameters...);
  if (rv != CKR_OK) { std::printf("refused %s 0x%lx\n", name, rv); std::exit(1); }
}

static void done(const std::string &detail) {
  std::printf("done %s\n", detail.c_str());
  std::fflush(stdout);
  while (int c = std::getchar()) if (c == '\n' || c == EOF) return;
}

static std::string hex(const Bytes &bytes) {
  std::string text;
  char digits[3];
  for (unsigned char byte : bytes) { std::snprintf(digits, sizeof digits, "%02x", byte); text += digits; }
  return text;
}

static Bytes fromHex(const char *text) {
  Bytes bytes;
  unsigned byte;
  for (; std::sscanf(text, "%2x", &byte) == 1; text += 2) bytes.push_back(static_cast<unsigned char>(byte));
  return bytes;
}

static Ulong firstSlot() {
  Ulong slots[64];
  Ulong count = 64;
  call("C_GetSlotList", static_cast<unsigned char>(1), static_cast<Ulong *>(slots), &count);
  if (count == 0) { std::printf("refused C_GetSlotList no token\n"); std::exit(1); }
  return slots[0];
}

static Ulong openSession(Ulong flags) {
  Ulong session;
  call("C_OpenSession", firstSlot(), flags, static_cast<void *>(nullptr), static_cast<void *>(nullptr), &session);
  return session;
}

static void login(Ulong session, Ulong user, const char *variable) {
  const char *pin = std::getenv(variable);
  call("C_Login", session, user, pin, static_cast<Ulong>(std::strlen(pin)));
}

static std::vector<Ulong> find(Ulong session, std::vector<Attribute> wanted) {
  std::vector<Ulong> objects(256);
  Ulong count = 0;
  call("C_FindObjectsInit", session, wanted.data(), static_cast<Ulong>(wanted.size()));
  call("C_FindObjects", session, objects.data(), static_cast<Ulong>(objects.size()), &count);
  call("C_FindObjectsFinal", session);
  objects.resize(count);
  return objects;
}

static Ulong findOne(Ulong session, Ulong objectClass, Bytes id) {
  auto found = find(session, {{CKA_CLASS, &objectClass, sizeof objectClass}, {CKA_ID, id.data(), id.size()}});
  if (found.empty()) { std::printf("refused C_FindObjects nothing found\n"); std::exit(1); }
  return found[0];
}

/** One attribute in one call, into room enough for any of a card. Empty if the object has none. */
static Bytes attribute(Ulong session, Ulong object, Ulong type) {
  Bytes value(8192);
  Attribute wanted = {type, value.data(), value.size()};
  Ulong rv = attempt("C_GetAttributeValue", session, object, &wanted, static_cast<Ulong>(1));
  value.resize(rv == CKR_OK ? wanted.length : 0);
  return value;
}

static Ulong number(const Bytes &value) {
  Ulong result = 0;
  std::memcpy(&result, value.data(), value.size() < sizeof result ? value.size() : sizeof result);
  return result;
}

static void list() {
  alignas(Ulong) unsigned char info[1024]; /* CK_TOKEN_INFO begins with the label, 32 characters (3.2) */
  call("C_GetTokenInfo", firstSlot(), static_cast<unsigned char *>(info));
  done(std::string(reinterpret_cast<char *>(info), 32));
}

static void objects() {
  Ulong session = openSession(CKF_SERIAL_SESSION);
  auto found = find(session, {});
  std::string seen;
  for (Ulong object : found) {
    Ulong objectClass = number(attribute(session, object, CKA_CLASS));
    Bytes label = attribute(session, object, CKA_LABEL);
    Bytes id = attribute(session, object, CKA_ID);
    if (objectClass == CKO_CERTIFICATE) attribute(session, object, CKA_CERTIFICATE_TYPE);
    else if (objectClass >= CKO_PUBLIC_KEY && objectClass <= CKO_SECRET_KEY) attribute(session, object, CKA_KEY_TYPE);
    seen += std::to_string(objectClass) + ":" + hex(id) + ":" + (label.empty() ? "-" : "+") + " ";
  }
  done(seen);
}

/** What `attributes` reads of an object of a class, in this order. */
static std::vector<Ulong> attributesOf(Ulong objectClass) {
  switch (objectClass) {
    case CKO_CERTIFICATE:
      return {CKA_SUBJECT, CKA_VALUE};
    case CKO_PUBLIC_KEY:
      return {CKA_KEY_TYPE, CKA_ENCRYPT, CKA_VERIFY, CKA_MODULUS, CKA_PUBLIC_EXPONENT, CKA_EC_PARAMS, CKA_EC_POINT};
    case CKO_PRIVATE_KEY:
      return {CKA_KEY_TYPE, CKA_DECRYPT, CKA_SIGN, CKA_DERIVE, CKA_ALWAYS_AUTHENTICATE, CKA_MODULUS};
    default:
      return {};
  }
}

static void attributes() {
  Ulong session = openSession(CKF_SERIAL_SESSION);
  login(session, CKU_USER, "BENCH_PIN");
  std::string seen;
  for (Ulong object : find(session, {})) {
    Ulong objectClass = number(attribute(session, object, CKA_CLASS));
    std::vector<Ulong> types = {CKA_ID, CKA_LABEL};
    for (Ulong type : attributesOf(objectClass)) types.push_back(type);
    seen += std::to_string(objectClass);
    for (Ulong type : types) {
      Bytes value = attribute(session, object, type);
      seen += ":" + (value.empty() ? "-" : type == CKA_KEY_TYPE ? std::to_string(number(value)) : hex(value));
    }
    seen += " ";
  }
  done(seen);
}

static void read(const char *id) {
  Ulong session = openSession(CKF_SERIAL_SESSION);
  done(hex(attribute(session, findOne(session, CKO_CERTIFICATE, fromHex(id)), CKA_VALUE)));
}

static void sign(const char *id, const char *mechanism, const char *input, const char *times) {
  Ulong session = openSession(CKF_SERIAL_SESSION);
  login(session, CKU_USER, "BENCH_PIN");
  Ulong key = findOne(session, CKO_PRIVATE_KEY, fromHex(id));
  Mechanism chosen = {std::strtoul(mechanism, nullptr, 0), nullptr, 0};
  Bytes data = fromHex(input);
  bool always = number(attribute(session, key, CKA_ALWAYS_AUTHENTICATE)) != 0;
  for (int turn = std::atoi(times); turn > 0; turn--) {
    Bytes signature(1024);
    Ulong length = signature.size();
    call("C_SignInit", session, &chosen, key);
    if (always) login(session, CKU_CONTEXT_SPECIFIC, "BENCH_PIN");
    call("C_Sign", session, data.data(), static_cast<Ulong>(data.size()), signature.data(), &length);
    signature.resize(length);
    done(hex(signature));
  }
}

static void generate(const char *id, const char *size) {
  Ulong session = openSession(CKF_SERIAL_SESSION | CKF_RW_SESSION);
  login(session, CKU_SO, "BENCH_SO_PIN");
  Bytes keyId = fromHex(id);
  Ulong bits = std::strtoul(size, nullptr, 0);
  Ulong publicKey, privateKey;
  unsigned char yes = 1;
  Attribute publicTemplate[] = {
    {CKA_TOKEN, &yes, 1}, {CKA_MODULUS_BITS, &bits, sizeof bits}, {CKA_ID, keyId.data(), keyId.size()}};
  Attribute privateTemplate[] = {{CKA_TOKEN, &yes, 1}, {CKA_PRIVATE, &yes, 1}, {CKA_ID, keyId.data(), keyId.size()}};
  Mechanism mechanism = {CKM_RSA_PKCS_KEY_PAIR_GEN, nullptr, 0};
  call("C_GenerateKeyPair", session, &mechanism, static_cast<Attribute *>(publicTemplate), 3ul,
       static_cast<Attribute *>(privateTemplate), 3ul, &publicKey, &privateKey);
  done("");
}

int main(int argc, char **argv) {
  module = argc > 2 ? dlopen(argv[1], RTLD_NOW) : nullptr;
  if (!module) { std::printf("refused dlopen %s\n", argc > 2 ? dlerror() : "no arguments"); return 1; }
  call("C_Initialize", static_cast<void *>(nullptr));
  std::string work = argv[2];
  if (work == "list") list();
  else if (work == "objects") objects();
  else if (work == "attributes") attributes();
  else if (work == "read" && argc == 4) read(argv[3]);
  else if (work == "sign" && argc == 7) sign(argv[3], argv[4], argv[5], argv[6]);
  else if (work == "generate" && argc == 5) generate(argv[3], argv[4]);
  else { std::printf("refused walk %s\n", argv[2]); return 1; }
  call("C_Finalize", static_cast<void *>(nullptr));
}
