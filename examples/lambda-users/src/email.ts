// E-mail syntax, as validator.js (class-validator 0.14) decides it with its defaults.

const LOCAL_PART = /^[a-z\d!#$%&'*+\-/=?^_`{|}~\u00A1-\uD7FF\uF900-\uFDCF\uFDF0-\uFFEF]+$/i;
const QUOTED =
  // biome-ignore lint/suspicious/noControlCharactersInRegex: RFC 5322 allows them inside quotes
  /^"([\s\x01-\x08\x0b\x0c\x0e-\x1f\x7f\x21\x23-\x5b\x5d-\x7e\u00A0-\uD7FF\uF900-\uFDCF\uFDF0-\uFFEF]|\\[\x01-\x09\x0b-\x7f])*"$/i;
const TOP_LEVEL =
  /^([a-z\u00A1-\u00A8\u00AA-\uD7FF\uF900-\uFDCF\uFDF0-\uFFEF]{2,}|xn[a-z0-9-]{2,})$/i;
const LABEL = /^(?!-)[a-z\d\u00A1-\uFF00\uFF5F-\uFFFF-]{1,63}(?<!-)$/i;

const bytes = (text: string) => Buffer.byteLength(text);

export function isEmail(text: string): boolean {
  const at = text.lastIndexOf('@');
  if (at < 1) return false;
  return isLocalPart(text.slice(0, at)) && isDomain(text.slice(at + 1));
}

function isLocalPart(local: string): boolean {
  if (bytes(local) > 64) return false;
  if (local.startsWith('"')) return local.length > 1 && QUOTED.test(local);
  return local.split('.').every((part) => LOCAL_PART.test(part));
}

function isDomain(domain: string): boolean {
  const labels = domain.split('.');
  const last = labels.at(-1) ?? '';
  if (labels.length < 2 || bytes(domain) > 254) return false;
  return TOP_LEVEL.test(last) && !/\s/.test(last) && labels.every((label) => LABEL.test(label));
}
