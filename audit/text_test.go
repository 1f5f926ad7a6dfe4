package audit

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

func TestTokens(t *testing.T) {
	long := strings.Repeat("é", 40) // 80 bytes
	for in, want := range map[string][]string{
		"":                     nil,
		" .,-_/ ":              nil,
		"hello World":          {"hello", "world"},
		"a.b_c-d/e:f@g":        {"a", "b", "c", "d", "e", "f", "g"},
		"s3.GetBucketAcl":      {"s3", "getbucketacl"},
		"192.168.0.1":          {"192", "168", "0", "1"},
		"ÄPFEL Straße ΣΊΣΥΦΟΣ": {"äpfel", "straße", "σίσυφοσ"},
		"日本語 テスト":              {"日本語", "テスト"},
		"x²½Ⅳ":                 {"x²½ⅳ"},
		"a\xffb\x00c":          {"a", "b", "c"},
		"a🤖b":                  {"a", "b"},
		"it's":                 {"it", "s"},
		long:                   {strings.Repeat("é", 32)},
		"x" + long:             {"x" + strings.Repeat("é", 31)},
		"A" + long:             {"a" + strings.Repeat("é", 31)},
		"abc ABC abc":          {"abc", "abc", "abc"},
	} {
		var got []string
		eachToken(in, func(tok string) { got = append(got, tok) })
		if !slices.Equal(got, want) {
			t.Errorf("%q: got %q, want %q", in, got, want)
		}
	}
}

func TestParseText(t *testing.T) {
	for in, want := range map[string][]Term{
		"":                nil,
		" ... ":           nil,
		"*":               nil,
		"delete alice":    {{Token: "alice"}, {Token: "delete"}},
		"Alice ALICE":     {{Token: "alice"}},
		"ali*":            {{Token: "ali", Prefix: true}},
		"ali* ali":        {{Token: "ali"}, {Token: "ali", Prefix: true}},
		"10.0.*":          {{Token: "0", Prefix: true}, {Token: "10"}},
		"a*b":             {{Token: "a"}, {Token: "b"}},
		`"quoted" OR -x`:  {{Token: "or"}, {Token: "quoted"}, {Token: "x"}},
		"\xff":            nil,
		"tool.create*":    {{Token: "create", Prefix: true}, {Token: "tool"}},
		"a\u00a0b\u3000c": {{Token: "a"}, {Token: "b"}, {Token: "c"}},
	} {
		got, err := ParseText(in)
		if err != nil || !slices.Equal(got, want) {
			t.Errorf("%q: got %v, %v; want %v", in, got, err, want)
		}
	}
	var many []string
	for i := range MaxTextTerms + 1 {
		many = append(many, strings.Repeat("x", i+1))
	}
	if _, err := ParseText(strings.Join(many[1:], " ")); err != nil {
		t.Error(err)
	}
	_, err := ParseText(strings.Join(many, " "))
	wantInvalid(t, err, "q")
}

func TestMatchText(t *testing.T) {
	r := &Record{Event: Event{
		Action: "bucket.delete", Actor: Actor{ID: "arn:aws:iam::1:user/Bert-Jan", Name: "Zoë", IP: "10.1.2.3"}, Tenant: "acme", Error: "Access denied",
		Payload:  json.RawMessage(`{"secretkey":{"deep":["Ünïcode value",42,true,null]},"b":"x\u0041y"}`),
		Metadata: json.RawMessage(`{"env":"production"}`),
	}}
	for q, want := range map[string]bool{
		"bucket": true, "delete bucket": true, "buck": false, "buck*": true, "BUCKET*": true, "bert-jan": true, "bert jan": true, "jan-bert": true,
		"zoë": true, "ZOË": true, "zoe": false, "10.1.2.3": true, "10.1.2.4": false, "denied access": true, "ünïcode": true, "42": true, "4*": true,
		"true": true, "null": false, "production": true, "env": false, "secretkey": false, "xay": true, "acme": false, "bucket acme": false, "prod* acc* del*": true,
	} {
		terms, err := ParseText(q)
		if err != nil {
			t.Fatal(err)
		}
		if got := MatchText(r, terms); got != want {
			t.Errorf("%q: %v", q, got)
		}
	}
	if !MatchText(r, nil) {
		t.Error("no term at all must match")
	}
	want := "bucket delete arn aws iam 1 user bert jan zoë 10 2 3 access denied production ünïcode value 42 true xay"
	if got := SearchText(r); got != want {
		t.Errorf("got  %q\nwant %q", got, want)
	}
}

// Every token of a record finds it, whole or by its beginning.
func TestEveryTokenFindsItsRecord(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := genNormal().Draw(t, "record")
		tokens := strings.Fields(SearchText(r))
		var all []string
		EachToken(r, func(tok string) {
			if !slices.Contains(all, tok) {
				all = append(all, tok)
			}
		})
		if diff := cmp.Diff(all, tokens); len(all)+len(tokens) > 0 && diff != "" {
			t.Fatal(diff)
		}
		for _, tok := range tokens {
			if len(tok) > MaxToken {
				t.Fatalf("%q is too long", tok)
			}
			for _, q := range []string{tok, tok + "*"} {
				terms, err := ParseText(q)
				if err != nil || len(terms) != 1 || !MatchText(r, terms) {
					t.Fatalf("%q gives %v, %v and does not find its record", q, terms, err)
				}
			}
		}
	})
}

func TestTokensAreStable(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		eachToken(rapid.String().Draw(t, "s"), func(tok string) {
			n := 0
			eachToken(tok, func(again string) {
				if n++; again != tok {
					t.Fatalf("the token %q is read as %q", tok, again)
				}
			})
			if n != 1 {
				t.Fatalf("the token %q is read as %d", tok, n)
			}
		})
	})
}

func FuzzTokens(f *testing.F) {
	f.Add("İstanbul ẞ ΑΣ ǅ K")
	f.Fuzz(func(t *testing.T, s string) {
		eachToken(s, func(tok string) {
			eachToken(tok, func(again string) {
				if again != tok {
					t.Fatalf("the token %q is read as %q", tok, again)
				}
			})
		})
	})
}
