package cloudtrail

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/annals-dev/annals/audit"
	"github.com/google/go-cmp/cmp"
)

// assumed is a made-up record with everything in it, written with blanks.
const assumed = `{
  "eventVersion": "1.09",
  "userIdentity": {
    "type": "AssumedRole", "principalId": "AROAEXAMPLE:alice", "arn": "arn:aws:sts::111122223333:assumed-role/Deploy/alice",
    "accountId": "111122223333", "accessKeyId": "ASIAEXAMPLE",
    "sessionContext": {
      "sessionIssuer": {"type": "Role", "arn": "arn:aws:iam::111122223333:role/Deploy", "userName": "Deploy"},
      "sourceIdentity": "alice@example.com",
      "attributes": {"creationDate": "2024-05-06T07:00:00Z", "mfaAuthenticated": "true"}
    }
  },
  "eventTime": "2024-05-06T07:08:09Z", "eventSource": "s3.amazonaws.com", "eventName": "DeleteObject", "awsRegion": "eu-west-1",
  "sourceIPAddress": "203.0.113.7", "userAgent": "aws-cli/2.15", "errorCode": "AccessDenied", "errorMessage": "Access Denied",
  "requestParameters": {"bucketName": "books", "key": "a/b.txt"}, "responseElements": null,
  "requestID": "REQ1", "eventID": "5f2b6a1e-0000-4000-8000-000000000001", "readOnly": false,
  "resources": [{"ARNPrefix": "x"}, {"type": "AWS::S3::Object", "ARN": "arn:aws:s3:::books/a/b.txt"}, {"type": "AWS::S3::Bucket", "ARN": "arn:aws:s3:::books"}],
  "eventType": "AwsApiCall", "recipientAccountId": "444455556666", "eventCategory": "Data", "sharedEventID": "share-1", "vpcEndpointId": "vpce-1",
  "sessionCredentialFromConsole": "true", "additionalEventData": {"bytes": 12345678901234567890, "x": "é\u0041"}
}`

// one reads a single record.
func one(t *testing.T, in string, opt Options) *audit.Event {
	t.Helper()
	var got *audit.Event
	err := Read(strings.NewReader(in), opt, func(_ int, ev *audit.Event, err error) error {
		got = ev
		return err
	})
	if err != nil || got == nil {
		t.Fatalf("%v, %v\n%s", got, err, in)
	}
	return got
}

func TestEvent(t *testing.T) {
	id, _ := audit.ParseID("5f2b6a1e-0000-4000-8000-000000000001")
	payload, _ := audit.CompactDocument([]byte(assumed))
	want := &audit.Event{
		ID: id, Namespace: "aws", Tenant: "444455556666", OccurredAt: time.Date(2024, 5, 6, 7, 8, 9, 0, time.UTC),
		Action: "s3.DeleteObject", Operation: audit.Delete, ActionID: "share-1",
		Actor: audit.Actor{
			Type: "role", ID: "arn:aws:sts::111122223333:assumed-role/Deploy/alice", Name: "Deploy", IP: "203.0.113.7", UserAgent: "aws-cli/2.15",
			SessionID: "ASIAEXAMPLE", OnBehalfOf: "arn:aws:iam::111122223333:role/Deploy",
		},
		Resource: audit.Resource{Type: "AWS::S3::Object", ID: "arn:aws:s3:::books/a/b.txt", Name: "b.txt"},
		Outcome:  audit.Denied, Error: "Access Denied", ErrorCode: "AccessDenied",
		Source: audit.Source{Service: "s3", Provider: "aws"}, Request: audit.Request{ID: "REQ1"}, Payload: payload,
		Metadata: json.RawMessage(`{"region":"eu-west-1","account_id":"444455556666","identity_type":"AssumedRole","principal_id":"AROAEXAMPLE:alice",` +
			`"access_key_id":"ASIAEXAMPLE","source_identity":"alice@example.com","mfa":"true","console":"true","event_type":"AwsApiCall","event_category":"Data",` +
			`"read_only":"false","shared_event_id":"share-1","vpc_endpoint_id":"vpce-1"}`),
	}
	got := one(t, `{"Records":[`+assumed+`]}`, Options{})
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	// The original is kept whole: compacted, and nothing else changed.
	var compact strings.Builder
	inString := false
	for i, c := range assumed {
		if c == '"' && (i == 0 || assumed[i-1] != '\\') {
			inString = !inString
		}
		if inString || !strings.ContainsRune(" \n", c) {
			compact.WriteRune(c)
		}
	}
	if string(got.Payload) != compact.String() || !strings.Contains(string(got.Payload), `12345678901234567890,"x":"é\u0041"`) {
		t.Errorf("the payload is\n%s", got.Payload)
	}
	// A record that stands alone comes out the same.
	if diff := cmp.Diff(want, one(t, assumed, Options{})); diff != "" {
		t.Error(diff)
	}
	if got := one(t, assumed, Options{Namespace: "cloud", Tenant: "acme"}); got.Namespace != "cloud" || got.Tenant != "acme" {
		t.Errorf("the options are not followed: %s, %s", got.Namespace, got.Tenant)
	}
	if err := audit.Normalize(&audit.Record{Event: *got}, time.Now()); err != nil {
		t.Error(err)
	}
}

// with adds members to a record; a later one wins over an earlier of its name.
func with(members string) string {
	return strings.TrimSuffix(short("x"), "}") + "," + members + "}"
}

func TestActor(t *testing.T) {
	for _, tc := range []struct {
		in   string
		want audit.Actor
	}{
		{`{"type":"IAMUser","arn":"arn:u","principalId":"p","userName":"bob","accessKeyId":"AKIA1"}`, audit.Actor{Type: "user", ID: "arn:u", Name: "bob"}},
		{`{"type":"IAMUser","principalId":"p","userName":"bob","accessKeyId":""}`, audit.Actor{Type: "user", ID: "p", Name: "bob"}},
		{`{"type":"IAMUser","userName":"HIDDEN_DUE_TO_SECURITY_REASONS"}`, audit.Actor{Type: "user", ID: "HIDDEN_DUE_TO_SECURITY_REASONS", Name: "HIDDEN_DUE_TO_SECURITY_REASONS"}},
		{`{"type":"IAMUser","arn":"arn:u","userName":"bob","invokedBy":"cloudformation.amazonaws.com"}`, audit.Actor{Type: "user", ID: "arn:u", Name: "bob"}},
		{`{"type":"Root","arn":"arn:aws:iam::1:root","principalId":"1"}`, audit.Actor{Type: "root", ID: "arn:aws:iam::1:root"}},
		{`{"type":"AWSService","invokedBy":"rds.amazonaws.com"}`, audit.Actor{Type: "service", ID: "rds.amazonaws.com", Name: "rds.amazonaws.com"}},
		{`{"accountId":"1","invokedBy":"ec2.amazonaws.com"}`, audit.Actor{Type: "service", ID: "ec2.amazonaws.com", Name: "ec2.amazonaws.com"}},
		{`{"type":"AWSAccount","principalId":"AIDA","accountId":"2"}`, audit.Actor{Type: "account", ID: "AIDA"}},
		{`{"type":"AWSAccount","accountId":"2"}`, audit.Actor{Type: "account", ID: "2"}},
		{`{"type":"WebIdentityUser","principalId":"accounts.google.com:x:y","userName":"y"}`, audit.Actor{Type: "user", ID: "accounts.google.com:x:y", Name: "y"}},
		{`{"type":"NewKind","arn":"arn:n","invokedBy":"x"}`, audit.Actor{Type: "unknown", ID: "arn:n", Name: "x"}},
		{`{"type":"AssumedRole","arn":"arn:r","accessKeyId":"ASIA2","sessionContext":{"sessionIssuer":{"arn":"arn:issuer","userName":"R"}}}`, audit.Actor{Type: "role", ID: "arn:r", Name: "R", SessionID: "ASIA2", OnBehalfOf: "arn:issuer"}},
		{`{"type":"IAMUser","arn":"arn:u","accessKeyId":"ASIA3","sessionContext":{"sessionIssuer":{}}}`, audit.Actor{Type: "user", ID: "arn:u", SessionID: "ASIA3"}},
		{`{}`, audit.Actor{Type: "unknown"}},
		{`null`, audit.Actor{Type: "unknown"}},
	} {
		if got := one(t, with(`"userIdentity":`+tc.in), Options{}).Actor; got != tc.want {
			t.Errorf("%s: got %+v, want %+v", tc.in, got, tc.want)
		}
	}
}

func TestOperation(t *testing.T) {
	for _, tc := range []struct {
		source, name, readOnly string
		want                   audit.Operation
	}{
		{"ec2", "DescribeInstances", "true", audit.Read},
		{"kms", "Decrypt", "true", audit.Read},
		{"kms", "GenerateDataKey", "true", audit.Read},
		{"ec2", "CreateVpc", "true", audit.Read},
		{"iam", "CreateUser", "false", audit.Create},
		{"iam", "DeleteUser", "false", audit.Delete},
		{"s3", "PutBucketPolicy", "false", audit.Update},
		{"ec2", "RunInstances", "false", audit.Execute},
		{"x", "SearchThings", "false", audit.Execute},
		{"x", "FrobnicateThings", "false", audit.Other},
		{"s3", "GetObject", "", audit.Read},
		{"sts", "AssumeRole", "true", audit.Execute},
		{"sts", "AssumeRoleWithSAML", "true", audit.Execute},
		{"sts", "GetSessionToken", "true", audit.Execute},
		{"sts", "GetCallerIdentity", "true", audit.Read},
		{"signin", "ConsoleLogin", "false", audit.Execute},
		{"signin", "CheckMfa", "false", audit.Execute},
	} {
		in := with(`"eventSource":"` + tc.source + `.amazonaws.com","eventName":"` + tc.name + `"`)
		if tc.readOnly != "" {
			in = strings.TrimSuffix(in, "}") + `,"readOnly":` + tc.readOnly + "}"
		}
		if got := one(t, in, Options{}); got.Operation != tc.want || got.Action != tc.source+"."+tc.name {
			t.Errorf("%s %s: %s, %s; want %s", tc.name, tc.readOnly, got.Action, got.Operation, tc.want)
		}
	}
	for source, want := range map[string]string{"s3.amazonaws.com.cn": "s3.GetObject", "custom.example.com": "custom.example.com.GetObject", "": "GetObject"} {
		if got := one(t, with(`"eventSource":"`+source+`"`), Options{}).Action; got != want {
			t.Errorf("%q: got %s, want %s", source, got, want)
		}
	}
}

func TestOutcome(t *testing.T) {
	for members, want := range map[string]audit.Outcome{
		`"errorCode":null`:                           audit.Success,
		`"errorCode":"AccessDenied"`:                 audit.Denied,
		`"errorCode":"AccessDeniedException"`:        audit.Denied,
		`"errorCode":"Client.UnauthorizedOperation"`: audit.Denied,
		`"errorCode":"UnauthorizedOperation"`:        audit.Denied,
		`"errorCode":"NotAuthorizedException"`:       audit.Denied,
		`"errorCode":"ForbiddenException"`:           audit.Denied,
		`"errorCode":"Client.AuthFailure"`:           audit.Denied,
		`"errorCode":"InvalidClientTokenId"`:         audit.Denied,
		`"errorCode":"ThrottlingException"`:          audit.Failure,
		`"errorCode":"NoSuchBucketPolicy"`:           audit.Failure,
		`"errorCode":"InvalidTokenThing"`:            audit.Failure,
		`"errorCode":404`:                            audit.Failure,
		`"errorMessage":"something"`:                 audit.Failure,
		`"eventSource":"signin.amazonaws.com","eventName":"ConsoleLogin","responseElements":{"ConsoleLogin":"Failure"},"errorMessage":"Failed authentication"`: audit.Denied,
		`"eventSource":"signin.amazonaws.com","eventName":"ConsoleLogin","responseElements":{"ConsoleLogin":"Success"}`:                                        audit.Success,
	} {
		if got := one(t, with(members), Options{}).Outcome; got != want {
			t.Errorf("%s: got %s, want %s", members, got, want)
		}
	}
}

func TestMFA(t *testing.T) {
	for members, want := range map[string]string{
		`"additionalEventData":{"MFAUsed":"Yes"}`: "true", `"additionalEventData":{"MFAUsed":"No"}`: "false", `"additionalEventData":{}`: "", `"additionalEventData":"x"`: "",
		`"userIdentity":{"sessionContext":{"attributes":{"mfaAuthenticated":"false"}}}`: "false", `"userIdentity":{"sessionContext":{"attributes":{"mfaAuthenticated":true}}}`: "true",
	} {
		if got, _ := audit.MetadataValue(one(t, with(members), Options{}).Metadata, "mfa"); got != want {
			t.Errorf("%s: got %q, want %q", members, got, want)
		}
	}
}

func TestResource(t *testing.T) {
	for _, tc := range []struct {
		source, members string
		want            audit.Resource
	}{
		{"s3", `"requestParameters":{"bucketName":"b","Host":"h"}`, audit.Resource{Type: "AWS::S3::Bucket", ID: "arn:aws:s3:::b", Name: "b"}},
		{"iam", `"requestParameters":{"policyArn":"arn:aws:iam::1:policy/P","roleName":"R"}`, audit.Resource{Type: "AWS::IAM::Role", ID: "R", Name: "R"}},
		{"iam", `"requestParameters":{"policyArn":"arn:aws:iam::1:policy/P"}`, audit.Resource{Type: "AWS::IAM::ManagedPolicy", ID: "arn:aws:iam::1:policy/P", Name: "P"}},
		{"ssm", `"requestParameters":{"name":"/a/b"}`, audit.Resource{Type: "AWS::SSM::Parameter", ID: "/a/b", Name: "/a/b"}},
		{"x", `"requestParameters":{"name":"n"}`, audit.Resource{}},
		{"x", `"requestParameters":{"instanceId":"i-1"}`, audit.Resource{Type: "AWS::EC2::Instance", ID: "i-1", Name: "i-1"}},
		{"ec2", `"requestParameters":{"instancesSet":{"items":[{"instanceId":"i-1"},{"instanceId":"i-2"}]}}`, audit.Resource{Type: "AWS::EC2::Instance", ID: "i-1", Name: "i-1"}},
		{"ec2", `"requestParameters":{"instancesSet":{"items":[{"imageId":"ami-1"}]}}`, audit.Resource{}},
		{"ec2", `"requestParameters":{"instancesSet":[]}`, audit.Resource{}},
		{"ec2", `"requestParameters":"a text"`, audit.Resource{}},
		{"ec2", `"requestParameters":null,"resources":null`, audit.Resource{}},
		{"ssm", `"resources":[{"ARN":"arn:aws:ssm:eu-west-1:1:association/x"}]`, audit.Resource{Type: "ssm.association", ID: "arn:aws:ssm:eu-west-1:1:association/x", Name: "x"}},
		{"sm", `"resources":[{"ARN":"arn:aws:secretsmanager:eu-west-1:1:secret:db-Ab"}]`, audit.Resource{Type: "secretsmanager.secret", ID: "arn:aws:secretsmanager:eu-west-1:1:secret:db-Ab", Name: "db-Ab"}},
		{"sqs", `"resources":[{"ARN":"arn:aws:sqs:eu-west-1:1:queue"}]`, audit.Resource{Type: "sqs", ID: "arn:aws:sqs:eu-west-1:1:queue", Name: "queue"}},
		{"x", `"resources":[{"ARN":"odd"}]`, audit.Resource{ID: "odd", Name: "odd"}},
		{"s3", `"resources":[],"requestParameters":{"bucketName":"b"}`, audit.Resource{Type: "AWS::S3::Bucket", ID: "arn:aws:s3:::b", Name: "b"}},
	} {
		if got := one(t, with(`"eventSource":"`+tc.source+`.amazonaws.com",`+tc.members), Options{}).Resource; got != tc.want {
			t.Errorf("%s: got %+v, want %+v", tc.members, got, tc.want)
		}
	}
}

func TestIdentityOfRecords(t *testing.T) {
	a := one(t, with(`"eventID":"5F2B6A1E-0000-4000-8000-000000000001"`), Options{})
	if a.ID.String() != "5f2b6a1e-0000-4000-8000-000000000001" || a.ExternalID != "" {
		t.Errorf("a UUID: %s, %q", a.ID, a.ExternalID)
	}
	// Without an id the content is the id, so that a second import stores nothing.
	b, again, c := one(t, with(`"eventID":null`), Options{}), one(t, with(` "eventID" : null`), Options{}), one(t, with(`"eventID":null,"awsRegion":"x"`), Options{})
	if b.ID.IsZero() || !strings.HasPrefix(b.ExternalID, "sha256:") || b.ID != again.ID || b.ID == c.ID {
		t.Errorf("without an id: %s, %s, %s", b.ID, again.ID, c.ID)
	}
	for in, field := range map[string]string{
		with(`"eventID":"` + strings.Repeat("x", 300) + `"`):             "eventID",
		with(`"eventTime":"noon"`):                                       "eventTime",
		with(`"eventTime":1700000000`):                                   "eventTime",
		with(`"userIdentity":"root"`):                                    "userIdentity",
		with(`"resources":{}`):                                           "resources",
		with(`"userIdentity":{"sessionContext":[]}`):                     "userIdentity.sessionContext",
		with(`"eventName":""`):                                           "eventName",
		with(`"x":` + strings.Repeat("[", 70) + strings.Repeat("]", 70)): "",
	} {
		err := Read(strings.NewReader(in), Options{}, func(_ int, _ *audit.Event, err error) error { return err })
		e, ok := err.(*audit.Error)
		if !ok || e.Code != audit.CodeInvalid || e.Field != field {
			t.Errorf("%.80s: %v, want an error about %q", in, err, field)
		}
	}
}
