package audit

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"strings"
	"time"
	"unicode/utf8"
)

// MaxRecordBytes is the default limit of one record: the sum of its texts and documents.
const MaxRecordBytes = 1 << 20

// MaxDuration is the longest duration accepted.
const MaxDuration = 100 * 365 * 24 * time.Hour

// MaxYear is the last year that a time may lie in; every engine can hold it.
const MaxYear = 9999

// Normalize brings the event into its canonical form, in place, or says which
// field makes that impossible. now fills an empty OccurredAt. Whatever it and
// then [Truncate] let pass, every engine stores and reads back unchanged. The
// two are apart so that redaction can come between them: the hash that stands
// for a truncated document must not be one of a secret.
//
// Mended, by these rules:
//   - texts: each run of invalid UTF-8, and each NUL, becomes U+FFFD; a text over its
//     limit keeps its beginning, then "…" and the first 16 hexadecimal digits of
//     the SHA-256 of the whole, so that equal texts stay equal;
//   - documents: see [CompactDocument];
//   - times: UTC, cut to microseconds; a future time is kept;
//   - an external id without an id derives it by [IDFrom], and one that is a UUID becomes the id;
//   - an empty operation is derived by [OperationOf], an empty outcome is success,
//     and an actor that nothing names gets the type "unknown".
//
// Refused: an empty action, an unknown operation, outcome or kind, a namespace,
// tenant or external id that would have to be changed, a document that is not
// JSON or nests too deeply, metadata that is not an object or has a key twice,
// a negative number, a duration that is negative or over [MaxDuration], a time
// before 1970 or after [MaxYear].
func Normalize(ev *Record, now time.Time) error {
	if err := normalizeEnums(ev); err != nil {
		return err
	}
	for _, f := range textFields {
		p := f.text(ev)
		if *p == "" {
			continue
		}
		s := cleanText(*p, f.Limit)
		if len(s) != len(*p) || s != *p {
			if isBoundary(f) {
				return Invalid(f.Path, "is longer than %d bytes, has a NUL or is not valid UTF-8", f.Limit)
			}
			*p = s
		}
	}
	if ev.ExternalID != "" {
		id, external, err := IDFrom(ev.ExternalID)
		if err != nil || !ev.ID.IsZero() && ev.ID != id {
			return Invalid("external_id", "does not belong to the id: leave one of them out")
		}
		ev.ID, ev.ExternalID = id, external
	}
	if err := normalizeTimes(ev, now); err != nil {
		return err
	}
	for _, f := range docFields {
		p := f.doc(ev)
		if len(*p) == 0 {
			*p = nil
			continue
		}
		doc, err := CompactDocument(*p)
		if err != nil {
			var e *Error
			errors.As(err, &e)
			return Invalid(f.Path, "%s", e.Message)
		}
		*p = doc
	}
	if len(ev.Metadata) > 0 {
		if err := checkMetadata(ev.Metadata); err != nil {
			return err
		}
	}
	if a := &ev.Actor; a.Type == "" && a.ID == "" && a.Name == "" && a.Email == "" {
		a.Type = "unknown"
	}
	return nil
}

// isBoundary reports whether the field is a boundary or an identifier: changing
// one could make two of them equal, so it is refused, never mended.
func isBoundary(f *Field) bool {
	return f.Name == "namespace" || f.Name == "tenant" || f.Name == "external_id"
}

func normalizeEnums(ev *Record) error {
	if ev.Action == "" {
		return Invalid("action", "is required")
	}
	switch ev.Operation {
	case "":
		ev.Operation = OperationOf(ev.Action)
	case Create, Read, Update, Delete, Execute, Other:
	default:
		return Invalid("operation", "is %q, want create, read, update, delete, execute or other", clip(string(ev.Operation)))
	}
	switch ev.Outcome {
	case "":
		ev.Outcome = Success
	case Success, Failure, Denied, Pending:
	default:
		return Invalid("outcome", "is %q, want success, failure, denied or pending", clip(string(ev.Outcome)))
	}
	switch ev.Kind {
	case "":
		ev.Kind = KindEvent
	case KindEvent, KindGap, KindPrune:
	default:
		return Invalid("kind", "is %q, want event, gap or prune", clip(string(ev.Kind)))
	}
	return nil
}

func normalizeTimes(ev *Record, now time.Time) error {
	if ev.Duration < 0 || ev.Duration > MaxDuration {
		return Invalid("duration_ms", "is %s, want 0 to %s", formatMillis(ev.Duration), formatMillis(MaxDuration))
	}
	ev.Duration = ev.Duration.Truncate(time.Microsecond)
	if ev.OccurredAt.IsZero() {
		ev.OccurredAt = now
	}
	for _, f := range instantFields {
		t := f.inst(ev)
		if t.IsZero() && f.Name != "occurred_at" {
			continue
		}
		// Checked before it is cut: microseconds of a year far off would overflow.
		if err := checkTime(f.Path, *t); err != nil {
			return err
		}
		*t = cutTime(*t)
	}
	for _, f := range numberFields {
		if *f.num(ev) < 0 {
			return Invalid(f.Path, "is negative")
		}
	}
	return nil
}

// cutTime gives UTC and whole microseconds, cut towards the past.
func cutTime(t time.Time) time.Time { return time.UnixMicro(t.UnixMicro()).UTC() }

func checkTime(path string, t time.Time) error {
	// The first microsecond of 1970 would read as absent, so it is out too.
	if year := t.UTC().Year(); year < 1970 || year > MaxYear || t.UnixMicro() <= 0 {
		return Invalid(path, "is outside the years 1970 to %d", MaxYear)
	}
	return nil
}

// clip keeps a wrong value short enough to stand in an error.
func clip(s string) string {
	if len(s) > 40 {
		return strings.ToValidUTF8(s[:40], "") + "…"
	}
	return s
}

// cleanText gives the canonical form of a text; the same string when it already has it.
func cleanText(s string, limit int) string {
	ascii := true
	for i := range len(s) {
		if c := s[i]; c == 0 || c >= utf8.RuneSelf {
			ascii = false
			break
		}
	}
	if !ascii {
		s = strings.ToValidUTF8(s, "\ufffd")
		if strings.IndexByte(s, 0) >= 0 {
			s = strings.ReplaceAll(s, "\x00", "\ufffd")
		}
	}
	if len(s) <= limit {
		return s
	}
	sum := sha256.Sum256([]byte(s))
	keep := limit - len("…") - 16
	for keep > 0 && !utf8.RuneStart(s[keep]) {
		keep--
	}
	return s[:keep] + "…" + hex.EncodeToString(sum[:8])
}

// Truncate brings a normalised record under its limit, the sum of its texts
// and documents; maxBytes 0 is [MaxRecordBytes]. Over it, the payload, then the
// changes, then the metadata, then the tool's parameters, then the details are
// replaced by {"truncated":true,"bytes":…,"sha256":…}, until the rest fits. A
// record whose texts alone are too large is ErrTooLarge.
func Truncate(ev *Record, maxBytes int) error {
	if maxBytes <= 0 {
		maxBytes = MaxRecordBytes
	}
	size := 0
	for _, f := range docFields {
		size += len(*f.doc(ev))
	}
	if size+maxTexts <= maxBytes {
		return nil // whatever the texts are
	}
	for _, f := range textFields {
		size += len(*f.text(ev))
	}
	for _, doc := range []*json.RawMessage{&ev.Payload, &ev.Changes.Before, &ev.Changes.After, &ev.Metadata, &ev.Tool.Parameters, &ev.Details} {
		if size <= maxBytes {
			return nil
		}
		short := TruncatedDocument(*doc)
		if len(short) < len(*doc) {
			size -= len(*doc) - len(short)
			*doc = short
		}
	}
	if size > maxBytes {
		return &Error{Code: CodeTooLarge, Message: "the event has " + itoa(size) + " bytes without its documents, at most " + itoa(maxBytes) + " are allowed"}
	}
	return nil
}

// maxTexts is what the texts of a normalised record take at most.
var maxTexts = func() (n int) {
	for _, f := range fields {
		if f.Kind == Text {
			n += f.Limit
		}
	}
	return n
}()

// TruncatedDocument is what stands in the place of a document that was too large.
func TruncatedDocument(doc json.RawMessage) json.RawMessage {
	sum := sha256.Sum256(doc)
	return json.RawMessage(`{"truncated":true,"bytes":` + itoa(len(doc)) + `,"sha256":"` + hex.EncodeToString(sum[:]) + `"}`)
}
