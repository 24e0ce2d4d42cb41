// The worker of the Temporal contender: a workflow of one activity that does nothing. Prints the id of every workflow whose end the
// server has acknowledged. Ends when its input does.
//
// Usage: worker HOST:PORT TASK_QUEUE
package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"sync"
	"time"

	commandpb "go.temporal.io/api/command/v1"
	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/log"
	"go.temporal.io/sdk/worker"
	"go.temporal.io/sdk/workflow"
	"google.golang.org/grpc"
)

// Input is what the submitter gives a task.
type Input struct {
	ID    string `json:"id"`
	Input string `json:"input"`
}

// Ended ids wait here until they are written.
const maxWaiting = 1 << 16

func main() {
	if err := run(os.Args[1], os.Args[2]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(address, taskQueue string) error {
	ends := &ends{workflowIDs: map[string]string{}, waiting: make(chan string, maxWaiting)}
	connection, err := client.Dial(client.Options{
		HostPort: address,
		Logger:   silence{},
		ConnectionOptions: client.ConnectionOptions{
			DialOptions: []grpc.DialOption{grpc.WithChainUnaryInterceptor(ends.intercept)},
		},
	})
	if err != nil {
		return err
	}
	defer connection.Close()
	// As many pollers as the load asks for; up to 1,000 activities at once, which is the default.
	pollers := worker.NewPollerBehaviorAutoscaling(worker.PollerBehaviorAutoscalingOptions{})
	served := worker.New(connection, taskQueue, worker.Options{
		WorkflowTaskPollerBehavior: pollers,
		ActivityTaskPollerBehavior: pollers,
	})
	served.RegisterWorkflowWithOptions(oneActivity, workflow.RegisterOptions{Name: "bench"})
	served.RegisterActivityWithOptions(nothing, activity.RegisterOptions{Name: "nothing"})
	if err := served.Start(); err != nil {
		return err
	}
	go ends.write()
	ends.waiting <- "ready"
	_, _ = io.Copy(io.Discard, os.Stdin)
	return nil
}

func oneActivity(ctx workflow.Context, input Input) error {
	options := workflow.ActivityOptions{StartToCloseTimeout: time.Minute}
	return workflow.ExecuteActivity(workflow.WithActivityOptions(ctx, options), "nothing", input).Get(ctx, nil)
}

func nothing(context.Context, Input) error {
	return nil
}

// ends learns from the worker's own calls which workflows have ended: the SDK tells nobody when the server has stored an end.
type ends struct {
	mutex       sync.Mutex
	workflowIDs map[string]string
	waiting     chan string
}

func (e *ends) intercept(
	ctx context.Context, method string, request, reply any, connection *grpc.ClientConn, invoke grpc.UnaryInvoker, options ...grpc.CallOption,
) error {
	if err := invoke(ctx, method, request, reply, connection, options...); err != nil {
		return err
	}
	switch reply := reply.(type) {
	case *workflowservice.PollWorkflowTaskQueueResponse:
		e.took(reply)
	case *workflowservice.RespondWorkflowTaskCompletedResponse:
		if request, ok := request.(*workflowservice.RespondWorkflowTaskCompletedRequest); ok {
			e.answered(string(request.TaskToken), request.Commands)
		}
		// The next task of the same workflow may come with the answer.
		e.took(reply.WorkflowTask)
	}
	return nil
}

func (e *ends) took(task *workflowservice.PollWorkflowTaskQueueResponse) {
	if len(task.GetTaskToken()) == 0 {
		return
	}
	e.mutex.Lock()
	defer e.mutex.Unlock()
	e.workflowIDs[string(task.TaskToken)] = task.WorkflowExecution.WorkflowId
}

func (e *ends) answered(token string, commands []*commandpb.Command) {
	e.mutex.Lock()
	id := e.workflowIDs[token]
	delete(e.workflowIDs, token)
	e.mutex.Unlock()
	for _, command := range commands {
		switch command.CommandType {
		case enumspb.COMMAND_TYPE_COMPLETE_WORKFLOW_EXECUTION:
			e.waiting <- "ended " + id
		case enumspb.COMMAND_TYPE_FAIL_WORKFLOW_EXECUTION:
			e.waiting <- "failed " + id
		}
	}
}

// write prints a line for each, without holding up the worker.
func (e *ends) write() {
	for line := range e.waiting {
		fmt.Println(line)
	}
}

// silence takes the SDK's log, which says nothing that the errors do not.
type silence struct{}

func (silence) Debug(string, ...any) {}
func (silence) Info(string, ...any)  {}
func (silence) Warn(string, ...any)  {}
func (silence) Error(string, ...any) {}

var _ log.Logger = silence{}
