package dynamodb

import (
	"context"
	"errors"
	"net"
	"net/http"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"

	"github.com/annals-dev/annals/audit"
	"github.com/annals-dev/annals/store/internal/intake"
)

// Open opens the table. With Options.URL it makes what is missing and waits until
// it is ready; without, it checks that all is there and says what is not.
func Open(ctx context.Context, opt Options) (*Store, error) {
	opt, err := opt.withDefaults()
	if err != nil {
		return nil, err
	}
	s := &Store{opt: opt}
	s.life, s.end = context.WithCancelCause(context.Background())
	s.lanes = intake.Lanes{Open: s.openLane, Room: newRoom, Go: s.work.Go, Life: s.life}
	if s.client, err = s.connect(ctx); err == nil {
		if opt.URL != "" && !opt.NoCreate {
			err = s.create(ctx)
		} else {
			err = s.check(ctx)
		}
	}
	if err == nil {
		err = s.adoptSchema(ctx)
	}
	if err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

// connect makes the client. It asks nobody but for credentials.
func (s *Store) connect(ctx context.Context) (*dynamodb.Client, error) {
	transport := s.opt.transport
	if transport == nil {
		s.http = &http.Transport{
			Proxy:               http.ProxyFromEnvironment,
			DialContext:         (&net.Dialer{Timeout: s.opt.CallTimeout, KeepAlive: 30 * time.Second}).DialContext,
			MaxIdleConns:        4 * s.opt.Parallel,
			MaxIdleConnsPerHost: 2 * s.opt.Parallel,
			IdleConnTimeout:     time.Minute,
			TLSHandshakeTimeout: s.opt.CallTimeout,
			ForceAttemptHTTP2:   true,
		}
		transport = s.http
	}
	ours := func(o *dynamodb.Options) {
		o.HTTPClient = &http.Client{Transport: transport}
		o.Retryer = aws.NopRetryer{} // see call
		// TLS checks what is read; a second sum over it costs as much as reading it.
		o.DisableValidateResponseChecksum = true
	}
	if s.opt.URL != "" {
		opts := dynamodb.Options{
			Region: s.opt.Region, BaseEndpoint: aws.String(s.opt.URL),
			Credentials: credentials.NewStaticCredentialsProvider("annals", "annals", ""),
		}
		ours(&opts)
		return dynamodb.New(opts), nil
	}
	cfg, err := config.LoadDefaultConfig(ctx, config.WithRegion(s.opt.Region))
	if err != nil {
		return nil, audit.Unavailable(s.name()+": the AWS configuration cannot be read", err)
	}
	return dynamodb.NewFromConfig(cfg, ours), nil
}
