package dynamodb

import (
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/annals-dev/annals/audit"
)

func TestOptions(t *testing.T) {
	for _, c := range []struct {
		opt   Options
		field string
	}{
		{Options{}, ""},
		{Options{TableName: "a.b-C_9"}, ""},
		{Options{TableName: "ab"}, "table_name"},
		{Options{TableName: "a/b/c"}, "table_name"},
		{Options{TableName: strings.Repeat("a", 256)}, "table_name"},
		{Options{Prefix: "a b"}, "prefix"},
		{Options{URL: "localhost:8000"}, "url"},
		{Options{Ceiling: -1}, "ceiling"},
		{Options{Timeout: -1}, "timeout"},
		{Options{CallTimeout: -1}, "call_timeout"},
		{Options{Parallel: -1}, "parallel"},
	} {
		_, err := c.opt.withDefaults()
		var e *audit.Error
		if errors.As(err, &e); c.field == "" && err != nil || c.field != "" && (e == nil || e.Field != c.field || e.Code != audit.CodeInvalid) {
			t.Errorf("%+v: %v, want an error of %q", c.opt, err, c.field)
		}
	}
	o, err := Options{Prefix: "acme_"}.withDefaults()
	if err != nil || o.TableName != "acme_audit" || o.Region != "us-east-1" || o.MaxRetries != DefaultMaxRetries {
		t.Errorf("%+v, %v", o, err)
	}
	if o, err = (Options{MaxRetries: -1}).withDefaults(); err != nil || o.TableName != "annals_audit" || o.MaxRetries != 0 {
		t.Errorf("%+v, %v", o, err)
	}
}

// Several processes may open, and make, the table at the same time.
func TestOpenAtTheSameTime(t *testing.T) {
	opt := newTable(t)
	var wg sync.WaitGroup
	for range 6 {
		wg.Go(func() {
			s, err := Open(t.Context(), opt)
			if err != nil {
				t.Error(err)
				return
			}
			if have, want, err := s.SchemaVersion(t.Context()); have != want || err != nil {
				t.Errorf("version %d of %d, %v", have, want, err)
			}
			if err := s.Close(); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
}

// asAWS makes the endpoint what the environment says AWS is.
func asAWS(t *testing.T, opt Options) Options {
	t.Setenv("AWS_ENDPOINT_URL_DYNAMODB", opt.URL)
	t.Setenv("AWS_ACCESS_KEY_ID", "annals")
	t.Setenv("AWS_SECRET_ACCESS_KEY", "annals")
	t.Setenv("AWS_CONFIG_FILE", "/dev/null")
	t.Setenv("AWS_SHARED_CREDENTIALS_FILE", "/dev/null")
	opt.URL = ""
	return opt
}

// Without a URL the table must be there as it should be, and the error says what is not.
func TestOpenChecksTheTable(t *testing.T) {
	opt := newTable(t)
	made := open(t, opt)
	c := made.client
	s := open(t, asAWS(t, opt))
	if err := s.Ping(t.Context()); err != nil {
		t.Fatal(err)
	}
	state, err := s.State(t.Context())
	if err != nil || state["table"] != opt.TableName || state["status"] != "ACTIVE" || state["index "+indexAction] == "" {
		t.Errorf("%v, %v", state, err)
	}

	for _, bad := range []struct {
		name   string
		change func(*dynamodb.CreateTableInput)
		ttl    string
		says   []string
	}{
		{"absent", nil, "", []string{"there is no DynamoDB table", "us-east-1"}},
		{"without TTL", func(*dynamodb.CreateTableInput) {}, "", []string{"expires_at_ttl is not enabled"}},
		{"another TTL", func(*dynamodb.CreateTableInput) {}, "ttl", []string{"deletes by the attribute ttl"}},
		{"without an index", func(in *dynamodb.CreateTableInput) {
			in.GlobalSecondaryIndexes = in.GlobalSecondaryIndexes[:2]
			in.AttributeDefinitions = in.AttributeDefinitions[:4]
		}, attrTTL, []string{"no index action_id_index", "action_id must be a key"}},
		{"keys only", func(in *dynamodb.CreateTableInput) {
			in.GlobalSecondaryIndexes[1].Projection.ProjectionType = types.ProjectionTypeKeysOnly
		}, attrTTL, []string{"ns_tenant_sequence must project ALL"}},
		{"another key", func(in *dynamodb.CreateTableInput) {
			in.KeySchema = keySchema(attrID, attrPartition)
		}, attrTTL, []string{"its key must be id alone"}},
		{"another index", func(in *dynamodb.CreateTableInput) {
			in.GlobalSecondaryIndexes[0].KeySchema = keySchema(attrPartition, attrSequence)
		}, attrTTL, []string{"ns_tenant_dispatched must have the keys ns_tenant and dispatched_at_ms"}},
	} {
		t.Run(bad.name, func(t *testing.T) {
			opt := newTable(t)
			if bad.change != nil {
				in := tableInput(opt.TableName)
				bad.change(in)
				if _, err := c.CreateTable(t.Context(), in); err != nil {
					t.Fatal(err)
				}
			}
			if bad.ttl != "" {
				_, err := c.UpdateTimeToLive(t.Context(), &dynamodb.UpdateTimeToLiveInput{
					TableName: aws.String(opt.TableName), TimeToLiveSpecification: &types.TimeToLiveSpecification{AttributeName: aws.String(bad.ttl), Enabled: aws.Bool(true)},
				})
				if err != nil {
					t.Fatal(err)
				}
			}
			_, err := Open(t.Context(), asAWS(t, opt))
			var e *audit.Error
			if !errors.As(err, &e) || e.Field != "table_name" || !strings.Contains(err.Error(), opt.TableName) {
				t.Fatalf("got %v", err)
			}
			for _, says := range bad.says {
				if !strings.Contains(err.Error(), says) {
					t.Errorf("%v does not say %q", err, says)
				}
			}
		})
	}
}

// A table that a newer program made is not touched.
func TestNewerSchema(t *testing.T) {
	opt := newTable(t)
	s := open(t, opt)
	_, err := s.client.PutItem(t.Context(), &dynamodb.PutItemInput{
		TableName: aws.String(opt.TableName), Item: item{attrID: text(ownKey(kindSchema, "")), attrVersion: number(schemaVersion + 1)},
	})
	if err != nil {
		t.Fatal(err)
	}
	if _, err = Open(t.Context(), opt); err == nil || !strings.Contains(err.Error(), "use a newer one") {
		t.Errorf("got %v", err)
	}
}

// An endpoint where nobody listens is unavailable, and says which table was meant.
func TestNobodyListens(t *testing.T) {
	opt := Options{URL: "http://127.0.0.1:1", MaxRetries: 1, CallTimeout: time.Second}
	if _, err := Open(t.Context(), opt); !errors.Is(err, audit.ErrUnavailable) || !strings.Contains(err.Error(), "annals_audit") {
		t.Errorf("got %v", err)
	}
}
