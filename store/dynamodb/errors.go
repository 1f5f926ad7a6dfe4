package dynamodb

import (
	"context"
	"errors"
	"fmt"

	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/aws/smithy-go"

	"github.com/annals-dev/annals/audit"
)

// class is what an error of a call means for the caller. Errors are told apart
// by type, or where the SDK has no type by their code; never by their text.
type class int

const (
	final     class = iota // the same call fails again
	refused                // a condition of the call does not hold
	throttled              // nothing was done; later it may be
	unclear                // it may have been done or not; the call may be repeated
)

func classify(err error) class {
	var (
		condition  *types.ConditionalCheckFailedException
		canceled   *types.TransactionCanceledException
		provision  *types.ProvisionedThroughputExceededException
		limit      *types.RequestLimitExceeded
		throttling *types.ThrottlingException
		progress   *types.TransactionInProgressException
		conflict   *types.TransactionConflictException
		internal   *types.InternalServerError
		replicated *types.ReplicatedWriteConflictException
		api        smithy.APIError
		response   *awshttp.ResponseError
	)
	switch {
	case errors.As(err, &condition), errors.As(err, &canceled):
		return refused
	case errors.As(err, &provision), errors.As(err, &limit), errors.As(err, &throttling), errors.As(err, &conflict), errors.As(err, &replicated):
		return throttled
	case errors.As(err, &progress), errors.As(err, &internal):
		return unclear
	case errors.As(err, &response) && response.HTTPStatusCode() >= 500:
		return unclear
	case errors.As(err, &api):
		switch api.ErrorCode() {
		case "ThrottlingException", "Throttling", "RequestThrottled", "TooManyRequestsException", "SlowDown":
			return throttled
		case "RequestTimeout", "RequestTimeoutException", "InternalFailure", "ServiceUnavailable", "ServiceUnavailableException":
			return unclear
		}
		return final
	}
	// No answer came: the connection failed, or the attempt ran out of time.
	return unclear
}

// translate makes an *audit.Error of what DynamoDB or the network said, naming
// the table; the SDK's text is only its cause.
func (s *Store) translate(ctx context.Context, err error, attempts int) error {
	if err == nil {
		return nil
	}
	var ours *audit.Error
	if errors.As(err, &ours) {
		return err
	}
	if s.closed() {
		return audit.ErrClosed
	}
	if ctx.Err() != nil {
		return audit.Unavailable(s.name()+": the call was given up", errors.Join(context.Cause(ctx), err))
	}
	tried := ""
	if attempts > 1 {
		tried = fmt.Sprintf(", after %d attempts", attempts)
	}
	switch classify(err) {
	case throttled:
		return audit.Unavailable(s.name()+" is throttled: it is asked for more than its capacity"+tried, err)
	case unclear:
		return audit.Unavailable(s.name()+" did not answer"+tried, err)
	case refused:
		return &audit.Error{Code: audit.CodeInternal, Message: s.name() + " refused a condition", Cause: err}
	}
	var (
		missing *types.ResourceNotFoundException
		api     smithy.APIError
	)
	if errors.As(err, &missing) {
		return audit.Unavailable(s.name()+" does not exist, or one of its indexes", err)
	}
	if errors.As(err, &api) {
		switch api.ErrorCode() {
		case "AccessDeniedException", "UnrecognizedClientException", "InvalidSignatureException", "ExpiredTokenException",
			"MissingAuthenticationTokenException", "IncompleteSignatureException", "NotAuthorized":
			return audit.Unavailable(s.name()+" may not be used with these credentials: "+api.ErrorCode(), err)
		}
		return &audit.Error{Code: audit.CodeInternal, Message: s.name() + " refused the operation: " + api.ErrorCode(), Cause: err}
	}
	return &audit.Error{Code: audit.CodeInternal, Message: s.name() + " could not be asked", Cause: err}
}

// name names the table in errors.
func (s *Store) name() string { return "the DynamoDB table " + s.opt.TableName }
