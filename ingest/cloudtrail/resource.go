package cloudtrail

import (
	"encoding/json"
	"strings"

	"github.com/annals-dev/annals/audit"
)

// parameters name the resource where a record has no list of resources. The
// first that is there counts; service "" is any. The types are those of AWS
// CloudFormation, which the lists of resources use too.
var parameters = []struct{ service, key, kind string }{
	{"s3", "bucketName", "AWS::S3::Bucket"},
	{"sts", "roleArn", "AWS::IAM::Role"},
	{"iam", "roleName", "AWS::IAM::Role"},
	{"iam", "userName", "AWS::IAM::User"},
	{"iam", "groupName", "AWS::IAM::Group"},
	{"iam", "instanceProfileName", "AWS::IAM::InstanceProfile"},
	{"iam", "policyArn", "AWS::IAM::ManagedPolicy"},
	{"iam", "policyName", "AWS::IAM::ManagedPolicy"},
	{"ssm", "name", "AWS::SSM::Parameter"},
	{"ssm", "documentName", "AWS::SSM::Document"},
	{"secretsmanager", "secretId", "AWS::SecretsManager::Secret"},
	{"secretsmanager", "name", "AWS::SecretsManager::Secret"},
	{"kms", "keyId", "AWS::KMS::Key"},
	{"lambda", "functionName", "AWS::Lambda::Function"},
	{"dynamodb", "tableName", "AWS::DynamoDB::Table"},
	{"rds", "dBInstanceIdentifier", "AWS::RDS::DBInstance"},
	{"rds", "dBSnapshotIdentifier", "AWS::RDS::DBSnapshot"},
	{"rds", "dBClusterIdentifier", "AWS::RDS::DBCluster"},
	{"cloudtrail", "trailName", "AWS::CloudTrail::Trail"},
	{"cloudtrail", "name", "AWS::CloudTrail::Trail"},
	{"logs", "logGroupName", "AWS::Logs::LogGroup"},
	{"sqs", "queueUrl", "AWS::SQS::Queue"},
	{"sns", "topicArn", "AWS::SNS::Topic"},
	{"eks", "name", "AWS::EKS::Cluster"},
	{"guardduty", "detectorId", "AWS::GuardDuty::Detector"},
	{"ec2", "routeTableId", "AWS::EC2::RouteTable"},
	{"ec2", "internetGatewayId", "AWS::EC2::InternetGateway"},
	{"ec2", "natGatewayId", "AWS::EC2::NatGateway"},
	{"ec2", "subnetId", "AWS::EC2::Subnet"},
	{"ec2", "groupId", "AWS::EC2::SecurityGroup"},
	{"ec2", "volumeId", "AWS::EC2::Volume"},
	{"ec2", "snapshotId", "AWS::EC2::Snapshot"},
	{"ec2", "imageId", "AWS::EC2::Image"},
	{"ec2", "allocationId", "AWS::EC2::EIP"},
	{"ec2", "networkInterfaceId", "AWS::EC2::NetworkInterface"},
	{"ec2", "vpcId", "AWS::EC2::VPC"},
	{"", "instanceId", "AWS::EC2::Instance"},
}

// resource takes the first of the record's resources, else what the request's
// parameters name.
func (rec *record) resource() audit.Resource {
	for _, r := range rec.Resources {
		if r.ARN != "" {
			kind := string(r.Type)
			if kind == "" {
				kind = kindOf(string(r.ARN))
			}
			return audit.Resource{Type: kind, ID: string(r.ARN), Name: nameOf(string(r.ARN))}
		}
	}
	service := rec.service()
	for _, p := range parameters {
		if p.service != "" && p.service != service {
			continue
		}
		v, ok := audit.MetadataValue(rec.Parameters, p.key)
		if !ok || v == "" {
			continue
		}
		id := v
		if p.kind == "AWS::S3::Bucket" {
			id = "arn:aws:s3:::" + v // as the lists of resources write it
		}
		return audit.Resource{Type: p.kind, ID: id, Name: nameOf(v)}
	}
	if id := rec.firstInstance(); id != "" {
		return audit.Resource{Type: "AWS::EC2::Instance", ID: id, Name: id}
	}
	return audit.Resource{}
}

// firstInstance reads the set that RunInstances' relatives name instances by.
func (rec *record) firstInstance() string {
	var p struct {
		Set struct {
			Items []struct {
				ID text `json:"instanceId"`
			} `json:"items"`
		} `json:"instancesSet"`
	}
	if rec.service() != "ec2" || json.Unmarshal(rec.Parameters, &p) != nil || len(p.Set.Items) == 0 {
		return ""
	}
	return string(p.Set.Items[0].ID)
}

// kindOf names the type of a resource whose ARN is all that is known:
// arn:aws:ssm:us-east-1:1:association/x gives ssm.association.
func kindOf(arn string) string {
	parts := strings.SplitN(arn, ":", 6)
	if len(parts) < 6 || parts[0] != "arn" {
		return ""
	}
	kind, _, ok := strings.Cut(parts[5], "/")
	if before, _, colon := strings.Cut(kind, ":"); colon {
		kind, ok = before, true
	}
	if !ok {
		return parts[2]
	}
	return parts[2] + "." + kind
}

// nameOf gives the part of an ARN that people know a resource by; anything
// else is its own name.
func nameOf(arn string) string {
	if !strings.HasPrefix(arn, "arn:") {
		return arn
	}
	return arn[strings.LastIndexAny(arn, ":/")+1:]
}
