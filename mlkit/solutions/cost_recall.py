# %% cost_recall.quiz
answer("cost_recall", q1="b", q2="c")
