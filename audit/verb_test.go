package audit

import "testing"

func TestOperationOf(t *testing.T) {
	for action, want := range map[string]Operation{
		"tool.create": Create, "tool.delete": Delete, "users.createToken": Create, "token_delete": Delete,
		"query": Read, "mcp/tools:call": Execute, "http.PUT": Update, "http.POST": Create, "http.GET": Read, "http.PATCH": Update,
		"GET": Read, "secret.rotated": Update, "session-start": Execute, "record.soft_delete": Delete, "user.logged": Other,
		// AWS CloudTrail
		"ec2.DescribeInstances": Read, "ec2.RunInstances": Execute, "iam.CreateUser": Create, "sts.AssumeRole": Execute,
		"signin.ConsoleLogin": Execute, "s3.GetBucketLifecycle": Read, "s3.PutBucketPolicy": Update, "iam.AttachRolePolicy": Update,
		"iam.DetachRolePolicy": Update, "ec2.TerminateInstances": Delete, "cloudtrail.StopLogging": Execute, "kms.Decrypt": Read,
		"ec2.AuthorizeSecurityGroupIngress": Update, "ec2.RevokeSecurityGroupIngress": Delete, "cloudtrail.LookupEvents": Read,
		"ec2.SharedSnapshotVolumeCreated": Create, "lambda.CreateFunction20150331": Create, "dynamodb.BatchGetItem": Read,
		"dynamodb.BatchWriteItem": Update, "cognito-idp.AdminCreateUser": Create, "cognito-idp.AdminDeleteUser": Delete,
		"organizations.LeaveOrganization": Update, "ec2.ModifyInstanceAttribute": Update, "ec2.ReleaseAddress": Delete,
		"ssm.SendCommand": Execute, "ssm.GetParameter": Read, "signin.SwitchRole": Other,
		// Kubernetes
		"watch": Read, "deletecollection": Delete, "impersonate": Execute, "list": Read,
		// no verb
		"": Other, ".": Other, "health": Other, "a.b.": Other, "_": Other, "-create-": Other, "batch": Other, "Batch_": Other,
		"averyveryverylongwordthatisnoverb": Other, "созд.ать": Other, "\xff": Other, "2.0": Other,
		"oauth2Login": Execute, "settings": Other, "getaway": Other,
	} {
		if got := OperationOf(action); got != want {
			t.Errorf("OperationOf(%q) = %s, want %s", action, got, want)
		}
	}
}

func TestOperationOfDoesNotAllocate(t *testing.T) {
	for _, action := range []string{"tool.create", "iam.AdminCreateUser", "record.softDelete", "averyveryverylongwordthatisnoverb"} {
		if n := testing.AllocsPerRun(100, func() { OperationOf(action) }); n != 0 {
			t.Errorf("%s: %v allocations", action, n)
		}
	}
}

func FuzzOperationOf(f *testing.F) {
	f.Add("a.BatchGetItem")
	f.Add("__--  AA")
	f.Fuzz(func(t *testing.T, action string) { OperationOf(action) })
}

func BenchmarkOperationOf(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		OperationOf("iam.CreateUser")
	}
}
